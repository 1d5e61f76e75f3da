public import KeelAutograd
public import KeelBackend

/// Normalisation of each example within groups of channels (the last axis), with an activation
/// (Wu & He, 2018): mean and biased variance over a group's channels and all positions of the
/// image. Unlike batch normalisation it knows no batch: training and use compute the same.
///
/// One group is layer normalisation over the whole image; as many groups as channels is instance
/// normalisation. Parameters: `gamma`, `beta`, one number per channel.
public struct GroupNorm: Layer {
  package let groups: Int
  package let epsilon: Float
  package let activation: Activation
  package private(set) var gamma: Parameter?
  package private(set) var beta: Parameter?

  /// A layer of `groups` groups, which must divide the channels.
  public init(_ groups: Int = 32, epsilon: Float = 1e-5, activation: Activation = .identity) {
    self.groups = groups
    self.epsilon = epsilon
    self.activation = activation
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `gamma` and `beta`.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard let channels = input.extents.last, input.count > 0 else {
      throw scope.refusal("an input whose last axis is channels", got: input)
    }
    guard groups >= 1, channels % groups == 0 else {
      throw scope.refusal(
        "groups that divide the channels", gotText: "\(groups) groups of \(channels) channels")
    }
    guard input.count / groups >= 2 else {
      throw scope.refusal(
        "more than one value in each group", gotText: "\(groups) groups of \(input)")
    }
    try requireEpsilon(epsilon, scope)
    (gamma, beta) = try scaleAndShift(&scope, channels)
    return input
  }

  /// The normalised batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let (gamma, beta) = (try pass[gamma], try pass[beta])
    let normal = try normalized(x)
    return try pointwise(activation.of(.x * .y + .z), [normal, gamma, beta])
  }

  /// Each group of each example with mean 0 and variance 1: layer normalisation of rows that hold
  /// a group each. Where its values do not lie side by side they are brought there and back.
  private func normalized(_ x: Tensor) throws(TensorError) -> Tensor {
    let (batch, channels) = (x.shape[0], x.shape[x.shape.rank - 1])
    let positions = x.shape.extents.dropFirst().dropLast().reduce(1, *)
    let (columns, width) = (positions * channels / groups, channels / groups)
    let ones = try Tensor.ones([columns], on: x.device)
    let zeros = try Tensor.zeros([columns], on: x.device)
    if groups == 1 || positions == 1 {
      return try x.reshaped([batch * groups, columns])
        .layerNormalization(gamma: ones, beta: zeros, epsilon: epsilon).reshaped(x.shape)
    }
    return try x.reshaped([batch, positions, groups, width]).transposed([0, 2, 1, 3])
      .reshaped([batch * groups, columns])
      .layerNormalization(gamma: ones, beta: zeros, epsilon: epsilon)
      .reshaped([batch, groups, positions, width]).transposed([0, 2, 1, 3]).reshaped(x.shape)
  }
}

/// Normalisation of each example by the root of its mean square over the last axis (Zhang &
/// Sennrich, 2019): y = x / sqrt(mean(x^2) + epsilon) * gamma. No mean is taken off.
///
/// Parameters: `gamma`, as long as the last axis.
public struct RMSNorm: Layer {
  package let epsilon: Float
  package private(set) var gamma: Parameter?

  /// A layer that adds `epsilon` to the mean square.
  public init(epsilon: Float = 1e-6) { self.epsilon = epsilon }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `gamma`.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard let columns = input.extents.last, input.count > 0 else {
      throw scope.refusal("an input of at least one axis", got: input)
    }
    try requireEpsilon(epsilon, scope)
    gamma = try scope.parameter(
      "gamma", shape: [columns], initializer: .ones, fanIn: 1, fanOut: 1, decays: false)
    return input
  }

  /// The normalised batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let square = try (x * x).mean(axes: [-1], keepingAxes: true)
    let deviation = (Expression.y + .constant(epsilon)).sqrt()
    return try pointwise(.x / deviation * .z, [x, square, pass[gamma]])
  }
}
