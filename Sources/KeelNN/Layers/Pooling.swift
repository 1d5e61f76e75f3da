public import KeelAutograd
public import KeelBackend

/// The largest element of each window of an image, per channel.
public struct MaxPool2D: Layer {
  package let window: Size2D
  package let stride: Size2D
  package let padding: Padding

  /// Windows of the given size; they touch each other unless a stride says otherwise.
  public init(_ window: Size2D = 2, stride: Size2D? = nil, padding: Padding = .valid) {
    self.window = window
    self.stride = stride ?? window
    self.padding = padding
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    try pooledShape(scope, input, window: window, stride: stride, padding: padding)
  }

  /// The pooled batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.maxPooling2D(window: window.pair, stride: stride.pair, padding: padding)
  }
}

/// The mean of each window of an image, per channel; padding does not count.
public struct AvgPool2D: Layer {
  package let window: Size2D
  package let stride: Size2D
  package let padding: Padding

  /// Windows of the given size; they touch each other unless a stride says otherwise.
  public init(_ window: Size2D = 2, stride: Size2D? = nil, padding: Padding = .valid) {
    self.window = window
    self.stride = stride ?? window
    self.padding = padding
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    try pooledShape(scope, input, window: window, stride: stride, padding: padding)
  }

  /// The pooled batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.averagePooling2D(window: window.pair, stride: stride.pair, padding: padding)
  }
}

/// The mean of each channel over the whole image.
public struct GlobalAvgPool2D: Layer {
  /// A layer without options.
  public init() {}

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard input.rank == 3, input.count > 0 else {
      throw scope.refusal("an image of height x width x channels", got: input)
    }
    return [input[2]]
  }

  /// Batch x channels.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.globalAveragePooling2D()
  }
}

private func pooledShape(
  _ scope: LayerScope, _ input: Shape, window: Size2D, stride: Size2D, padding: Padding
) throws(TensorError) -> Shape {
  guard input.rank == 3, input.count > 0 else {
    throw scope.refusal("an image of height x width x channels", got: input)
  }
  guard window.isPositive, stride.isPositive else {
    throw scope.refusal("a window and stride of at least 1", gotText: "\(window) and \(stride)")
  }
  let output = try slidingOutput(
    scope, input, window: window, stride: stride, dilation: 1, padding: padding)
  return [output.height, output.width, input[2]]
}
