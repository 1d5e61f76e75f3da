package import KeelAutograd
package import KeelBackend
package import KeelData
import KeelNN

/// Brings a batch to a device: bytes travel as bytes and become numbers in 0 ... 1 there.
func upload(
  _ batch: Batch, to device: Device
) throws(TensorError) -> (inputs: Tensor, labels: Tensor) {
  (
    try inputTensor(batch.features, shape: batch.shape, on: device),
    try Tensor(batch.labels, shape: [batch.count], on: device)
  )
}

/// The features of examples as float32; bytes are multiplied by 1/255.
package func inputTensor(
  _ features: Features, shape: Shape, on device: Device
) throws(TensorError) -> Tensor {
  switch features {
  case .floats(let values): return try Tensor(values, shape: shape, on: device)
  case .bytes(let values):
    let bytes = try Tensor(values, shape: shape, on: device)
    return try pointwise(.x * .constant(1 / 255), [bytes])
  }
}

extension Loss {
  /// The loss of a batch: where examples were joined, weight · L(labels) + (1 - weight) ·
  /// L(partners' labels).
  func callAsFunction(
    _ output: Tensor, _ labels: Tensor, mixedBy mix: Mix?
  ) throws(TensorError) -> Tensor {
    let own = try self(output, labels)
    guard let mix, mix.weight < 1 else { return own }
    let partners = try Tensor(mix.labels, shape: [mix.labels.count], on: output.device)
    return try mix.weight * own + (1 - mix.weight) * self(output, partners)
  }
}
