public import KeelAutograd
public import KeelBackend

/// Batch normalisation of each channel (the last axis), with an activation (Ioffe & Szegedy, 2015).
///
/// Training uses the statistics of the batch and moves the running ones towards them:
/// running = momentum * running + (1 - momentum) * batch. So `momentum` is the part that is kept
/// (Keras' convention; PyTorch's momentum is 1 - this one), and the variance that goes in is the
/// unbiased one. A channel whose batch statistics are not finite leaves its running ones as they
/// are, bit for bit. Inference uses the running ones, and so does training while both parameters
/// are frozen. Parameters: `gamma`, `beta`; states: `running_mean`, `running_variance`; all
/// channels.
///
/// ``Model/calibrateBatchNorm(_:upstream:)`` replaces the running statistics by exact ones and
/// stops their movement; ``Model/foldBatchNorm()`` moves a layer into the one before it.
public struct BatchNorm: Layer {
  package let momentum: Float
  package let epsilon: Float
  package let activation: Activation
  package private(set) var gamma: Parameter?
  package private(set) var beta: Parameter?
  package private(set) var mean: StateBuffer?
  package private(set) var variance: StateBuffer?
  /// Which statistics it uses now; one object for all copies of the layer within a model.
  package private(set) var use = BatchNormUse()

  /// A layer that keeps `momentum` of its running statistics at each step.
  public init(
    momentum: Float = 0.99, epsilon: Float = 1e-3, activation: Activation = .identity
  ) {
    self.momentum = momentum
    self.epsilon = epsilon
    self.activation = activation
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `gamma`, `beta` and the running statistics.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard let channels = input.extents.last, input.count > 0 else {
      throw scope.refusal("an input whose last axis is channels", got: input)
    }
    guard momentum >= 0, momentum <= 1 else {
      throw scope.refusal("a momentum in 0 ... 1", gotText: "\(momentum)")
    }
    try requireEpsilon(epsilon, scope)
    use = BatchNormUse()
    (gamma, beta) = try scaleAndShift(&scope, channels)
    mean = try scope.state("running_mean", shape: [channels], initialValue: 0)
    variance = try scope.state("running_variance", shape: [channels], initialValue: 1)
    return input
  }

  /// The normalised batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    switch use.mode {
    case .folded: return x
    case .frozen: return try inference(x, pass)
    case .calibrating(let collector):
      try requireSeveralValues(x)
      try collector.add(x)
      // A momentum of 1 keeps the running statistics.
      return try batchStatistics(x, pass, momentum: 1)
    case .online:
      guard pass.isTraining, learns else { return try inference(x, pass) }
      try requireSeveralValues(x)
      return try batchStatistics(x, pass, momentum: momentum)
    }
  }

  /// activation(normalised x + other) in one kernel, for a layer without activation that normalises
  /// by the batch's own statistics now and keeps nothing else of it; nil for others.
  func adding(
    _ other: Tensor, activation sum: Activation, to x: Tensor, _ pass: Pass
  ) throws(TensorError) -> Tensor? {
    guard activation == .identity, case .online = use.mode, pass.isTraining, learns else {
      return nil
    }
    try requireSeveralValues(x)
    return try batchStatistics(x, pass, momentum: momentum, adding: other, activation: sum)
  }

  private var learns: Bool { gamma?.isTrainable ?? true || beta?.isTrainable ?? true }

  private func inference(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.batchNormalizationInference(
      gamma: pass[gamma], beta: pass[beta], mean: pass[mean], variance: pass[variance],
      epsilon: epsilon, activation: activation)
  }

  private func batchStatistics(
    _ x: Tensor, _ pass: Pass, momentum: Float, adding other: Tensor? = nil,
    activation sum: Activation? = nil
  ) throws(TensorError) -> Tensor {
    try x.batchNormalization(
      gamma: pass[gamma], beta: pass[beta], runningMean: pass[mean],
      runningVariance: pass[variance], momentum: momentum, epsilon: epsilon, adding: other,
      activation: sum ?? activation)
  }

  private func requireSeveralValues(_ x: Tensor) throws(TensorError) {
    guard x.shape.reducing([x.shape.rank - 1], keepingAxes: false).count > 1 else {
      throw .shape(
        ShapeError(
          gamma?.name ?? "BatchNorm",
          requires: "more than one value per channel in training: use a larger batch",
          got: x.shape))
    }
  }
}

/// Normalisation of each example over its last axis (Ba et al., 2016).
///
/// Parameters: `gamma`, `beta`, both as long as the last axis.
public struct LayerNorm: Layer {
  package let epsilon: Float
  package private(set) var gamma: Parameter?
  package private(set) var beta: Parameter?

  /// A layer that adds `epsilon` to the variance.
  public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `gamma` and `beta`.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard let columns = input.extents.last, input.count > 0 else {
      throw scope.refusal("an input of at least one axis", got: input)
    }
    try requireEpsilon(epsilon, scope)
    (gamma, beta) = try scaleAndShift(&scope, columns)
    return input
  }

  /// The normalised batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.layerNormalization(gamma: pass[gamma], beta: pass[beta], epsilon: epsilon)
  }
}

/// Refuses an epsilon that is not finite and above 0.
func requireEpsilon(_ epsilon: Float, _ scope: LayerScope) throws(TensorError) {
  guard epsilon > 0, epsilon.isFinite else {
    throw scope.refusal("a finite epsilon above 0", gotText: "\(epsilon)")
  }
}

/// `gamma` of ones and `beta` of zeros, without weight decay.
func scaleAndShift(
  _ scope: inout LayerScope, _ count: Int
) throws(TensorError) -> (Parameter, Parameter) {
  (
    try scope.parameter(
      "gamma", shape: [count], initializer: .ones, fanIn: 1, fanOut: 1, decays: false),
    try scope.parameter(
      "beta", shape: [count], initializer: .zeros, fanIn: 1, fanOut: 1, decays: false)
  )
}
