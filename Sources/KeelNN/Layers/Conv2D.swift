public import KeelAutograd
public import KeelBackend

/// Convolution of images (height x width x channels) with learned filters, bias and activation.
///
/// Parameters: `weight`, kernelHeight x kernelWidth x (channels / groups) x filters; `bias`,
/// filters.
public struct Conv2D: Layer {
  package let filters: Int
  package let kernel: Size2D
  package let stride: Size2D
  package let padding: Padding
  package let dilation: Size2D
  package let groups: Int
  package let activation: Activation
  package let usesBias: Bool
  package let initializer: Initializer
  package private(set) var weight: Parameter?
  package private(set) var bias: Parameter?
  /// What a folded normalisation adds; one object for all copies of the layer within a model.
  package private(set) var epilogue = FoldedEpilogue()

  /// A layer of `filters` output channels.
  ///
  /// - Parameter groups: parts into which channels and filters are divided, each on its own; as
  ///   many as channels make the convolution depthwise.
  public init(
    _ filters: Int, kernel: Size2D = 3, stride: Size2D = 1, padding: Padding = .valid,
    dilation: Size2D = 1, groups: Int = 1, activation: Activation = .identity,
    usesBias: Bool = true, initializer: Initializer = .glorotUniform
  ) {
    self.filters = filters
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
    self.activation = activation
    self.usesBias = usesBias
    self.initializer = initializer
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `weight` and `bias`.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard input.rank == 3, input.count > 0 else {
      throw scope.refusal("an image of height x width x channels", got: input)
    }
    guard filters >= 1, kernel.isPositive, stride.isPositive, dilation.isPositive else {
      throw scope.refusal(
        "filters, kernel, stride and dilation of at least 1",
        gotText: "\(filters), \(kernel), \(stride) and \(dilation)")
    }
    let channels = input[2]
    guard groups >= 1, channels % groups == 0, filters % groups == 0 else {
      throw scope.refusal(
        "groups that divide channels and filters",
        gotText: "\(groups) groups for \(channels) channels and \(filters) filters")
    }
    let output = try slidingOutput(
      scope, input, window: kernel, stride: stride, dilation: dilation, padding: padding)
    let taps = kernel.height * kernel.width
    let (fanIn, fanOut) = (taps * channels / groups, taps * filters / groups)
    epilogue = FoldedEpilogue()
    weight = try scope.parameter(
      "weight", shape: [kernel.height, kernel.width, channels / groups, filters],
      initializer: initializer, fanIn: fanIn, fanOut: fanOut)
    if usesBias {
      bias = try scope.parameter(
        "bias", shape: [filters], initializer: .zeros, fanIn: fanIn, fanOut: fanOut)
    }
    return [output.height, output.width, filters]
  }

  /// The output for a batch of images.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let bias = try epilogue.bias(or: bias, pass)
    let activation = epilogue.activation ?? activation
    return try pass.fusing(activation, weight) { (activation) throws(TensorError) in
      try x.convolution2D(
        pass[weight], bias: bias, stride: stride.pair, dilation: dilation.pair, padding: padding,
        groups: groups, activation: activation)
    }
  }
}

/// The size of what a window that slides over an image gives, at least 1 x 1.
func slidingOutput(
  _ scope: LayerScope, _ input: Shape, window: Size2D, stride: Size2D, dilation: Size2D,
  padding: Padding
) throws(TensorError) -> Size2D {
  let reach = Size2D(
    dilation.height * (window.height - 1) + 1, dilation.width * (window.width - 1) + 1)
  let padded: Size2D
  switch padding {
  case .same:
    return Size2D(
      (input[0] + stride.height - 1) / stride.height, (input[1] + stride.width - 1) / stride.width)
  case .valid: padded = Size2D(input[0], input[1])
  case .explicit(let top, let left, let bottom, let right):
    guard min(top, left, bottom, right) >= 0 else {
      throw scope.refusal("padding of at least 0", gotText: "\(padding)")
    }
    padded = Size2D(input[0] + top + bottom, input[1] + left + right)
  }
  guard padded.height >= reach.height, padded.width >= reach.width else {
    throw scope.refusal("an image of at least \(reach)", got: input)
  }
  return Size2D(
    (padded.height - reach.height) / stride.height + 1,
    (padded.width - reach.width) / stride.width + 1)
}
