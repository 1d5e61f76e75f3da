import KeelAutograd
import KeelBackend
import KeelData

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
func inputTensor(
  _ features: Features, shape: Shape, on device: Device
) throws(TensorError) -> Tensor {
  switch features {
  case .floats(let values): return try Tensor(values, shape: shape, on: device)
  case .bytes(let values):
    let bytes = try Tensor(values, shape: shape, on: device)
    return try pointwise(.x * .constant(1 / 255), [bytes])
  }
}
