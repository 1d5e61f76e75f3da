/// The extents of a two-dimensional convolution, all resolved.
///
/// Output pixel (p, q) reads input pixel
/// (p * strideHeight + u * dilationHeight - padTop, q * strideWidth + v * dilationWidth - padLeft)
/// for filter tap (u, v). Pixels outside the image are 0. Output channel c belongs to group
/// c / (outChannels / groups) and reads the inChannels / groups input channels of that group.
package struct Convolution2DGeometry: Hashable, Sendable, Codable {
  package var batch: Int
  package var height: Int
  package var width: Int
  package var inChannels: Int
  package var outHeight: Int
  package var outWidth: Int
  package var outChannels: Int
  package var kernelHeight: Int
  package var kernelWidth: Int
  package var strideHeight: Int
  package var strideWidth: Int
  package var dilationHeight: Int
  package var dilationWidth: Int
  package var padTop: Int
  package var padLeft: Int
  package var padBottom: Int
  package var padRight: Int
  package var groups: Int

  package init(
    batch: Int, height: Int, width: Int, inChannels: Int, outChannels: Int,
    kernel: (height: Int, width: Int), stride: (height: Int, width: Int) = (1, 1),
    dilation: (height: Int, width: Int) = (1, 1),
    padding: (top: Int, left: Int, bottom: Int, right: Int) = (0, 0, 0, 0), groups: Int = 1
  ) {
    self.batch = batch
    self.height = height
    self.width = width
    self.inChannels = inChannels
    self.outChannels = outChannels
    kernelHeight = kernel.height
    kernelWidth = kernel.width
    strideHeight = stride.height
    strideWidth = stride.width
    dilationHeight = dilation.height
    dilationWidth = dilation.width
    padTop = padding.top
    padLeft = padding.left
    padBottom = padding.bottom
    padRight = padding.right
    self.groups = groups
    outHeight =
      (height + padTop + padBottom - dilationHeight * (kernelHeight - 1) - 1) / strideHeight + 1
    outWidth =
      (width + padLeft + padRight - dilationWidth * (kernelWidth - 1) - 1) / strideWidth + 1
  }

  package var inputShape: Shape { [batch, height, width, inChannels] }
  package var filterShape: Shape { [kernelHeight, kernelWidth, inChannels / groups, outChannels] }
  package var outputShape: Shape { [batch, outHeight, outWidth, outChannels] }

  /// Whether a device may compute tiles by Winograd's minimal filtering: the error of an element
  /// is then relative to the largest sum of |terms| around it, not to its own.
  package var allowsMinimalFiltering: Bool {
    kernelHeight == 3 && kernelWidth == 3 && strideHeight == 1 && strideWidth == 1
      && dilationHeight == 1 && dilationWidth == 1 && groups == 1
  }

  /// Floating-point operations: two per multiply-add, padding counted as if it were image.
  package var flops: Int {
    2 * outputShape.count * kernelHeight * kernelWidth * (inChannels / groups)
  }
}

/// Convolution (cross-correlation) of NHWC images with HWIO filters, and its two gradients.
package protocol Convolution2DBackend {
  /// y[n, p, q, c] = activation(bias[c] + sum over u, v, i of x[n, pixel(p, q, u, v), i] *
  /// filter[u, v, i, c]); the pixel is given at ``Convolution2DGeometry``.
  func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError)

  /// dx = the sum over all y that read x of dy * filter.
  func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError)

  /// dfilter[u, v, i, c] = sum over n, p, q of x[n, pixel(p, q, u, v), i] * dy[n, p, q, c], over a
  /// fixed tree.
  func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError)

  /// The gradients of filter and bias of y = activation(x * filter + bias), and dz in place of dy:
  /// ``Backend/pullEpilogue(_:output:upstream:bias:needsInner:)``, then convolution2DFilterGradient
  /// of dz.
  func convolution2DParameterGradients(
    _ x: NDArray, output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray
  ) throws(DeviceError)

  /// The same, and dz, where maxima over windows are all that is made of y: a winner is equal to
  /// its maximum, so bias and activation are done with the maxima, whose gradient is overwritten;
  /// ``Pooling2DBackend/maxPooling2DGradient(upstream:indices:_:into:)`` gives dz.
  func convolution2DParameterGradients(
    _ x: NDArray, maxima: WindowMaxima, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray,
    inner dz: NDArray
  ) throws(DeviceError)
}

extension Backend {
  /// One after the other, so that wrappers see each.
  package func convolution2DParameterGradients(
    _ x: NDArray, output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray
  ) throws(DeviceError) {
    try pullEpilogue(activation, output: y, upstream: dy, bias: db)
    try convolution2DFilterGradient(x, upstream: dy, geometry, into: dfilter)
  }

  /// One after the other, so that wrappers see each.
  package func convolution2DParameterGradients(
    _ x: NDArray, maxima: WindowMaxima, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray,
    inner dz: NDArray
  ) throws(DeviceError) {
    try pullEpilogue(activation, output: maxima.y, upstream: maxima.upstream, bias: db)
    try maxPooling2DGradient(
      upstream: maxima.upstream, indices: maxima.indices, maxima.geometry, into: dz)
    try convolution2DFilterGradient(x, upstream: dz, geometry, into: dfilter)
  }
}
