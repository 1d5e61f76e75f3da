public import KeelBackend

extension Tensor {
  /// Convolution (cross-correlation) of images, with bias and activation in one kernel:
  /// y[n, p, q, c] = activation(bias[c] + sum over u, v, i of
  /// x[n, p * stride + u * dilation - top, q * stride + v * dilation - left, i] *
  /// filter[u, v, i, c]).
  ///
  /// This tensor is batch x height x width x inChannels. With groups, output channel c reads only
  /// the inChannels / groups channels of its group; groups = inChannels is a depthwise convolution.
  ///
  /// - Parameters:
  ///   - filter: kernelHeight x kernelWidth x (inChannels / groups) x outChannels.
  ///   - bias: outChannels.
  ///   - stride: vertical and horizontal distance of windows.
  ///   - dilation: vertical and horizontal distance of the pixels that a window reads.
  ///   - activation: what has no derivative in terms of its output (softplus, gelu, silu) runs as a
  ///     kernel of its own.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit, strides or dilations below
  ///   1, groups that do not divide the channels, windows larger than the padded image.
  public func convolution2D(
    _ filter: Tensor, bias: Tensor? = nil, stride: (Int, Int) = (1, 1),
    dilation: (Int, Int) = (1, 1), padding: Padding = .valid, groups: Int = 1,
    activation: Activation = .identity
  ) throws(TensorError) -> Tensor {
    let operation = "convolution2D"
    try requireFloat(operation, self, filter, bias)
    try requireOneDevice(operation, [self, filter, bias])
    let geometry = try Convolution2DGeometry.checked(
      operation, image: shape, filter: filter.shape, stride: stride, dilation: dilation,
      padding: padding, groups: groups)
    try requireVector(operation, "bias", bias, geometry.outChannels)

    let fused = activation.isFusable ? activation : .identity
    let (x, w, backend) = (value, filter.value, backend)
    let epilogue = Epilogue(bias: bias?.value, activation: fused)
    let y = try compute(on: device, geometry.outputShape, dtype) { (y) throws(DeviceError) in
      try backend.convolution2D(x, filter: w, geometry, epilogue, into: y)
    }
    let inputs = [self, filter] + (bias.map { [$0] } ?? [])
    let links = inputs.map { _ in GradientLink.computed }
    // The result is kept where the activation's derivative asks for it, and only there.
    let (image, result) = (KeptArray(self), fused == .identity ? nil : y)
    let ofMaxima: MaximaPullback = { (maxima, dz, dx) throws(DeviceError) in
      let db = dx.count > 2 ? dx[2] : nil
      if let dfilter = dx[1], let db, dz.dtype == .float32 {
        try backend.convolution2DParameterGradients(
          try image.array(), maxima: maxima, fused, geometry, into: dfilter, bias: db, inner: dz)
      } else {
        try backend.pullEpilogue(fused, output: maxima.y, upstream: maxima.upstream, bias: db)
        try backend.maxPooling2DGradient(
          upstream: maxima.upstream, indices: maxima.indices, maxima.geometry, into: dz)
        if let dfilter = dx[1] {
          try backend.convolution2DFilterGradient(
            try image.array(), upstream: dz, geometry, into: dfilter)
        }
      }
      if let destination = dx[0] {
        try backend.convolution2DInputGradient(
          upstream: dz, filter: w, geometry, into: destination)
      }
    }
    let output = attach(
      .convolution2D, inputs, y, links: links, overwritesUpstream: fused != .identity,
      maxima: .init(pullback: ofMaxima)
    ) { (dy, dx) throws(DeviceError) in
      let db = dx.count > 2 ? dx[2] : nil
      let (dz, y) = (dy, result ?? dy)
      if let dfilter = dx[1], let db, dy.dtype == .float32 {
        try backend.convolution2DParameterGradients(
          try image.array(), output: y, upstream: dy, fused, geometry, into: dfilter, bias: db)
      } else {
        try backend.pullEpilogue(
          fused, output: y, upstream: dy, bias: db, needsInner: dx[0] != nil || dx[1] != nil)
        if let dfilter = dx[1] {
          try backend.convolution2DFilterGradient(
            try image.array(), upstream: dz, geometry, into: dfilter)
        }
      }
      if let destination = dx[0] {
        try backend.convolution2DInputGradient(
          upstream: dz, filter: w, geometry, into: destination)
      }
    }
    return activation.isFusable ? output : try output.activate(operation, activation)
  }
}
