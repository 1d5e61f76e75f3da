package import KeelBackend

/// What surrounds an image that a window slides over. Padded pixels count as 0 in convolutions and
/// as absent in poolings.
public enum Padding: Hashable, Sendable, Codable {
  /// Nothing: windows stay inside, out = floor((in - window) / stride) + 1.
  case valid
  /// As much as gives out = ceil(in / stride); where that is odd, the larger part is below and to
  /// the right.
  case same
  /// The given numbers of pixels.
  case explicit(top: Int, left: Int, bottom: Int, right: Int)
}

/// A window that slides over an image: what convolution and pooling share.
struct Window {
  var kernel: (height: Int, width: Int)
  var stride: (height: Int, width: Int)
  var dilation: (height: Int, width: Int) = (1, 1)
  var padding: Padding

  /// Larger strides, dilations and paddings make no sense and could overflow.
  private static let limit = 1 << 20

  /// The pixels added on each side of an image, checked: the window is inside the padded image.
  func resolvePadding(
    height: Int, width: Int, _ operation: String
  ) throws(TensorError) -> (top: Int, left: Int, bottom: Int, right: Int) {
    let limit = Window.limit
    for (name, pair) in [
      ("windows", kernel), ("strides", stride), ("dilations", dilation),
    ] {
      try require(
        (1...limit).contains(pair.height) && (1...limit).contains(pair.width), operation,
        "\(name) of 1 to \(limit)", got: "\(pair.height)x\(pair.width)")
    }
    let reach = (
      height: dilation.height * (kernel.height - 1) + 1,
      width: dilation.width * (kernel.width - 1) + 1
    )
    let sides: (top: Int, left: Int, bottom: Int, right: Int)
    switch padding {
    case .valid: sides = (0, 0, 0, 0)
    case .same:
      let vertical = Window.samePadding(height, reach.height, stride.height)
      let horizontal = Window.samePadding(width, reach.width, stride.width)
      sides = (vertical / 2, horizontal / 2, vertical - vertical / 2, horizontal - horizontal / 2)
    case .explicit(let top, let left, let bottom, let right):
      try require(
        [top, left, bottom, right].allSatisfy((0...limit).contains), operation,
        "paddings of 0 to \(limit)", got: [top, left, bottom, right])
      sides = (top, left, bottom, right)
    }
    guard height > 0, width > 0, reach.height <= height + sides.top + sides.bottom,
      reach.width <= width + sides.left + sides.right
    else {
      throw .shape(
        ShapeError(
          operation, requires: "a window that fits into the padded image",
          gotText: "a window of \(reach.height)x\(reach.width) on an image of \(height)x\(width)"))
    }
    return sides
  }

  private static func samePadding(_ extent: Int, _ reach: Int, _ stride: Int) -> Int {
    let out = extent == 0 ? 0 : (extent - 1) / stride + 1
    return max((out - 1) * stride + reach - extent, 0)
  }
}

extension Convolution2DGeometry {
  /// The geometry of a convolution of checked operands.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names `operation`.
  package static func checked(
    _ operation: String, image: Shape, filter: Shape, stride: (Int, Int), dilation: (Int, Int),
    padding: Padding, groups: Int
  ) throws(TensorError) -> Convolution2DGeometry {
    guard image.rank == 4 else {
      throw .shape(
        ShapeError(operation, requires: "batch x height x width x channels", got: image))
    }
    guard filter.rank == 4, filter[2] > 0, filter[3] > 0 else {
      throw .shape(
        ShapeError(
          operation,
          requires: "a filter of kernelHeight x kernelWidth x inChannels x outChannels",
          got: filter))
    }
    guard groups >= 1, image[3] % groups == 0, filter[3] % groups == 0 else {
      throw .shape(
        ShapeError(
          operation, requires: "groups that divide the channels",
          gotText: "\(groups) groups of \(image[3]) and \(filter[3]) channels"))
    }
    guard filter[2] == image[3] / groups else {
      throw .shape(
        ShapeError(
          operation, requires: "filters for \(image[3] / groups) channels of the image",
          got: image, filter))
    }
    let window = Window(
      kernel: (filter[0], filter[1]), stride: stride, dilation: dilation, padding: padding)
    let sides = try window.resolvePadding(height: image[1], width: image[2], operation)
    let geometry = Convolution2DGeometry(
      batch: image[0], height: image[1], width: image[2], inChannels: image[3],
      outChannels: filter[3], kernel: window.kernel, stride: window.stride,
      dilation: window.dilation, padding: sides, groups: groups)
    try requireUsable(geometry.outputShape, operation)
    return geometry
  }
}

extension Pooling2DGeometry {
  /// The geometry of a pooling of a checked image. Every window holds a pixel: paddings are
  /// smaller than the window.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names `operation`.
  package static func checked(
    _ operation: String, image: Shape, window: (Int, Int), stride: (Int, Int)?, padding: Padding
  ) throws(TensorError) -> Pooling2DGeometry {
    guard image.rank == 4 else {
      throw .shape(
        ShapeError(operation, requires: "batch x height x width x channels", got: image))
    }
    let slide = Window(kernel: window, stride: stride ?? window, padding: padding)
    let sides = try slide.resolvePadding(height: image[1], width: image[2], operation)
    try require(
      max(sides.top, sides.bottom) < window.0 && max(sides.left, sides.right) < window.1,
      operation, "paddings smaller than the window", got: sides)
    let geometry = Pooling2DGeometry(
      batch: image[0], height: image[1], width: image[2], channels: image[3],
      window: slide.kernel, stride: slide.stride, padding: sides)
    try requireUsable(geometry.outputShape, operation)
    return geometry
  }
}
