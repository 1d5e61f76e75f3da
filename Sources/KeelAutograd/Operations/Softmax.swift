public import KeelBackend

extension Tensor {
  /// The softmax over the last axis: y[…, c] = exp(x[…, c]) / sum over c of the same, computed from
  /// the row's maximum; every row of the result sums to one.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the last axis has elements.
  public func softmax() throws(TensorError) -> Tensor {
    try requireRows("softmax")
    let (x, backend) = (value.asRows, backend)
    let y = try compute(on: device, shape) { (y) throws(DeviceError) in
      try backend.softmax(x, into: y.asRows)
    }
    return attach(.softmax, [self], y, links: [.computed]) { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.softmaxGradient(
        output: y.asRows, upstream: dy.asRows, into: destination.asRows)
    }
  }

  /// The logarithm of the softmax over the last axis: y[…, c] = x[…, c] - log(sum over c of
  /// exp(x[…, c])), computed from the row's maximum.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the last axis has elements.
  public func logSoftmax() throws(TensorError) -> Tensor {
    try requireRows("logSoftmax")
    let (x, backend) = (value.asRows, backend)
    let y = try compute(on: device, shape) { (y) throws(DeviceError) in
      try backend.logSoftmax(x, into: y.asRows)
    }
    return attach(.softmax, [self], y, links: [.computed]) { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.logSoftmaxGradient(
        output: y.asRows, upstream: dy.asRows, into: destination.asRows)
    }
  }

  func requireRows(_ operation: String) throws(TensorError) {
    try requireFloat(operation, self)
    guard let columns = shape.extents.last, columns > 0 else {
      throw .shape(ShapeError(operation, requires: "elements in the last axis", got: shape))
    }
  }
}
