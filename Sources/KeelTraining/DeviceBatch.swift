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
    return try numbers(of: Tensor(values, shape: shape, on: device))
  }
}

/// Arrays on a device for batches of each shape, which stay where they are: what is computed from
/// them can be repeated with another batch.
final class BatchInputs {
  private struct Key: Hashable {
    let shape: Shape
    let dtype: DType
  }

  private let device: Device
  private var known: [Key: Tensor] = [:]

  init(_ device: Device) { self.device = device }

  /// Copies a batch to its arrays. The features are still bytes where they were.
  func place(_ batch: Batch) throws(TensorError) -> (features: Tensor, labels: Tensor) {
    let features =
      switch batch.features {
      case .floats(let values): try place(values, batch.shape)
      case .bytes(let values): try place(values, batch.shape)
      }
    return (features, try place(batch.labels, [batch.count]))
  }

  private func place<Scalar: DeviceScalar>(
    _ values: [Scalar], _ shape: Shape
  ) throws(TensorError) -> Tensor {
    let key = Key(shape: shape, dtype: Scalar.dtype)
    let (known, device) = (known, device)
    let tensor = try onDevice { () throws(DeviceError) in
      let tensor: Tensor
      if let own = known[key] {
        tensor = own
      } else {
        // A smaller batch, such as the last one of an epoch, takes the memory of a larger one.
        let room = known.values.first { $0.dtype == key.dtype && $0.shape.count >= shape.count }
        var array = room?.value.view(offset: 0, shape: shape)
        if array == nil { array = try device.backend.newArray(shape, key.dtype) }
        guard let array else { preconditionFailure("an array that was not made") }
        tensor = Tensor(value: array, device: device, requiresGradient: false)
      }
      if !values.isEmpty { try device.backend.upload(values, to: tensor.value) }
      return tensor
    }
    self.known[key] = tensor
    return tensor
  }
}

/// Features as float32; bytes are multiplied by 1/255.
func numbers(of features: Tensor) throws(TensorError) -> Tensor {
  features.dtype == .uint8 ? try pointwise(.x * .constant(1 / 255), [features]) : features
}

extension Loss {
  /// The loss of a batch: where examples were joined, weight · L(labels) + (1 - weight) ·
  /// L(partners' labels).
  ///
  /// - Parameter metric: what is counted along: how many outputs are right about their own labels.
  func callAsFunction(
    _ output: Tensor, _ labels: Tensor, mixedBy mix: Mix?, counting metric: Metric? = nil
  ) throws(TensorError) -> (value: Tensor, right: Tensor?) {
    let own = try counting(metric, output, labels)
    guard let mix, mix.weight < 1 else { return (own.loss, own.right) }
    let partners = try Tensor(mix.labels, shape: [mix.labels.count], on: output.device)
    return (try mix.weight * own.loss + (1 - mix.weight) * self(output, partners), own.right)
  }
}
