public import KeelAutograd
public import KeelBackend

/// Batch normalisation of each channel (the last axis), with an activation (Ioffe & Szegedy, 2015).
///
/// Training uses the statistics of the batch and moves the running ones towards them:
/// running = momentum * running + (1 - momentum) * batch. Inference uses the running ones, and so
/// does training while both parameters are frozen. Parameters: `gamma`, `beta`; states:
/// `running_mean`, `running_variance`; all channels.
public struct BatchNorm: Layer {
  package let momentum: Float
  package let epsilon: Float
  package let activation: Activation
  package private(set) var gamma: Parameter?
  package private(set) var beta: Parameter?
  package private(set) var mean: StateBuffer?
  package private(set) var variance: StateBuffer?

  /// A layer that keeps `momentum` of its running statistics at each step.
  public init(
    momentum: Float = 0.99, epsilon: Float = 1e-3, activation: Activation = .identity
  ) {
    self.momentum = momentum
    self.epsilon = epsilon
    self.activation = activation
  }

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
    guard epsilon > 0, epsilon.isFinite else {
      throw scope.refusal("a finite epsilon above 0", gotText: "\(epsilon)")
    }
    (gamma, beta) = try scaleAndShift(&scope, channels)
    mean = try scope.state("running_mean", shape: [channels], initialValue: 0)
    variance = try scope.state("running_variance", shape: [channels], initialValue: 1)
    return input
  }

  /// The normalised batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let learns = gamma?.isTrainable ?? true || beta?.isTrainable ?? true
    guard pass.isTraining, learns else {
      return try x.batchNormalizationInference(
        gamma: pass[gamma], beta: pass[beta], mean: pass[mean], variance: pass[variance],
        epsilon: epsilon, activation: activation)
    }
    guard x.shape.reducing([x.shape.rank - 1], keepingAxes: false).count > 1 else {
      throw .shape(
        ShapeError(
          gamma?.name ?? "BatchNorm",
          requires: "more than one value per channel in training: use a larger batch",
          got: x.shape))
    }
    return try x.batchNormalization(
      gamma: pass[gamma], beta: pass[beta], runningMean: pass[mean],
      runningVariance: pass[variance], momentum: momentum, epsilon: epsilon,
      activation: activation)
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

  /// Declares `gamma` and `beta`.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard let columns = input.extents.last, input.count > 0 else {
      throw scope.refusal("an input of at least one axis", got: input)
    }
    guard epsilon > 0, epsilon.isFinite else {
      throw scope.refusal("a finite epsilon above 0", gotText: "\(epsilon)")
    }
    (gamma, beta) = try scaleAndShift(&scope, columns)
    return input
  }

  /// The normalised batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.layerNormalization(gamma: pass[gamma], beta: pass[beta], epsilon: epsilon)
  }
}

private func scaleAndShift(
  _ scope: inout LayerScope, _ count: Int
) throws(TensorError) -> (Parameter, Parameter) {
  (
    try scope.parameter(
      "gamma", shape: [count], initializer: .ones, fanIn: 1, fanOut: 1, decays: false),
    try scope.parameter(
      "beta", shape: [count], initializer: .zeros, fanIn: 1, fanOut: 1, decays: false)
  )
}
