public import KeelBackend

extension Tensor {
  /// The largest pixel of each window and channel; a NaN if the window holds one. The gradient goes
  /// to the winner, the first of equals.
  ///
  /// This tensor is batch x height x width x channels. Padding never wins.
  ///
  /// - Parameters:
  ///   - window: height and width, at most 256 pixels.
  ///   - stride: nil means the window's own extents.
  /// - Throws: ``TensorError/shape(_:)`` unless there are four axes, the window fits the padded
  ///   image and paddings are smaller than the window.
  public func maxPooling2D(
    window: (Int, Int), stride: (Int, Int)? = nil, padding: Padding = .valid
  ) throws(TensorError) -> Tensor {
    try requireFloat("maxPooling2D", self)
    let geometry = try Pooling2DGeometry.checked(
      "maxPooling2D", image: shape, window: window, stride: stride, padding: padding)
    // Winners are kept as bytes.
    try require(
      window.0 * window.1 <= 256, "maxPooling2D", "windows of at most 256 pixels",
      got: "\(window.0)x\(window.1)")
    let (x, backend) = (value, backend)
    let indices = try compute(on: device, geometry.outputShape, .uint8) { _ in }
    let y = try compute(on: device, geometry.outputShape, dtype) { (y) throws(DeviceError) in
      try backend.maxPooling2D(x, geometry, into: y, indices: indices)
    }
    let deferral: Deferral = { [shape, dtype] dy, isOwned in
      DeferredGradient(
        shape: shape, dtype: dtype,
        maxima: WindowMaxima(y: y, upstream: dy, indices: indices, geometry), isOwned: isOwned
      ) { (dx) throws(DeviceError) in
        try backend.maxPooling2DGradient(upstream: dy, indices: indices, geometry, into: dx)
      }
    }
    return attach(.pooling2D, [self], y, links: [.computed], maxima: .init(deferral: deferral)) {
      (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.maxPooling2DGradient(
        upstream: dy, indices: indices, geometry, into: destination)
    }
  }

  /// The mean of each window and channel over the pixels inside the image.
  ///
  /// This tensor is batch x height x width x channels.
  ///
  /// - Parameters:
  ///   - window: height and width.
  ///   - stride: nil means the window's own extents.
  /// - Throws: ``TensorError/shape(_:)`` unless there are four axes, the window fits the padded
  ///   image and paddings are smaller than the window.
  public func averagePooling2D(
    window: (Int, Int), stride: (Int, Int)? = nil, padding: Padding = .valid
  ) throws(TensorError) -> Tensor {
    try requireFloat("averagePooling2D", self)
    let geometry = try Pooling2DGeometry.checked(
      "averagePooling2D", image: shape, window: window, stride: stride, padding: padding)
    let (x, backend) = (value, backend)
    return try record(.pooling2D, [self], shape: geometry.outputShape, dtype: dtype) {
      (y) throws(DeviceError) in
      try backend.averagePooling2D(x, geometry, into: y)
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.averagePooling2DGradient(upstream: dy, geometry, into: destination)
    }
  }
}
