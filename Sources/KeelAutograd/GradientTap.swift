package import KeelBackend

extension Tensor {
  /// The same numbers; tells `note` the gradient that arrives here on the way back, if one does.
  package func tapped(
    _ note: @escaping (NDArray) throws(DeviceError) -> Void
  ) throws(TensorError) -> Tensor {
    guard dtype.isFloat, requiresGradient, shape.count > 0 else { return self }
    let (x, backend) = (value, backend)
    return try record(.pointwise, [self], shape: shape, dtype: dtype) { (y) throws(DeviceError) in
      try backend.pointwise(.x, [x], into: y)
    } pullback: { (dy, dx) throws(DeviceError) in
      try note(dy)
      if let destination = dx[0] { try backend.pointwise(.x, [dy], into: destination) }
    }
  }
}
