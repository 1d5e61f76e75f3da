/// The extents of a two-dimensional pooling, all resolved; windows as in a convolution.
package struct Pooling2DGeometry: Hashable, Sendable {
  package var batch: Int
  package var height: Int
  package var width: Int
  package var channels: Int
  package var outHeight: Int
  package var outWidth: Int
  package var windowHeight: Int
  package var windowWidth: Int
  package var strideHeight: Int
  package var strideWidth: Int
  package var padTop: Int
  package var padLeft: Int

  package init(
    batch: Int, height: Int, width: Int, channels: Int, window: (height: Int, width: Int),
    stride: (height: Int, width: Int),
    padding: (top: Int, left: Int, bottom: Int, right: Int) = (0, 0, 0, 0)
  ) {
    self.batch = batch
    self.height = height
    self.width = width
    self.channels = channels
    windowHeight = window.height
    windowWidth = window.width
    strideHeight = stride.height
    strideWidth = stride.width
    padTop = padding.top
    padLeft = padding.left
    outHeight = (height + padding.top + padding.bottom - window.height) / stride.height + 1
    outWidth = (width + padding.left + padding.right - window.width) / stride.width + 1
  }

  package var inputShape: Shape { [batch, height, width, channels] }
  package var outputShape: Shape { [batch, outHeight, outWidth, channels] }
}

/// Maximum and average over windows of NHWC images. Global pooling is ``ReductionBackend``.
package protocol Pooling2DBackend {
  /// y = the largest element of each window; its first NaN if there is one. Padding never wins;
  /// every window holds at least one pixel.
  ///
  /// - Parameter indices: uint8, y's shape: which tap of the window won, u * windowWidth + v, the
  ///   first of equals. Windows have at most 256 taps.
  func maxPooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray, indices: NDArray
  ) throws(DeviceError)

  /// dx[pixel] = sum over the windows whose winner is the pixel of dy.
  func maxPooling2DGradient(
    upstream dy: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError)

  /// y = the sum of each window's pixels inside the image divided by their number.
  func averagePooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray
  ) throws(DeviceError)

  /// dx[pixel] = sum over the windows that hold the pixel of dy / number of pixels in the window.
  func averagePooling2DGradient(
    upstream dy: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError)
}

/// The maxima over the windows of an image, and the gradient that has arrived at them: few numbers
/// that say all of the image's gradient.
package struct WindowMaxima {
  package let y: NDArray
  package let upstream: NDArray
  /// Which pixel of each window won.
  package let indices: NDArray
  package let geometry: Pooling2DGeometry

  package init(
    y: NDArray, upstream: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry
  ) {
    (self.y, self.upstream, self.indices, self.geometry) = (y, upstream, indices, geometry)
  }
}
