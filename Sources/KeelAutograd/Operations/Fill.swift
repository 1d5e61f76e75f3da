public import KeelBackend

extension Tensor {
  /// A tensor of zeros.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for an absurd shape.
  public static func zeros(_ shape: Shape, on device: Device) throws(TensorError) -> Tensor {
    try filled("zeros", shape, 0, device)
  }

  /// A tensor of ones.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for an absurd shape.
  public static func ones(_ shape: Shape, on device: Device) throws(TensorError) -> Tensor {
    try filled("ones", shape, 1, device)
  }

  /// A tensor whose elements all are one number.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for an absurd shape.
  public static func full(
    _ shape: Shape, _ value: Float, on device: Device
  ) throws(TensorError) -> Tensor {
    try filled("full", shape, value, device)
  }

  private static func filled(
    _ operation: String, _ shape: Shape, _ number: Float, _ device: Device
  ) throws(TensorError) -> Tensor {
    try requireUsable(shape, operation)
    let value = try compute(on: device, shape) { (out) throws(DeviceError) in
      try device.backend.fill(out, with: number)
    }
    return Tensor(value: value, device: device, origin: .constant)
  }
}
