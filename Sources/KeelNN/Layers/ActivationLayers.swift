public import KeelAutograd
public import KeelBackend

/// A layer that is one nonlinearity. Layers that take an `activation` compute it in the same
/// kernel, which is faster.
public protocol PointwiseLayer: Layer {
  /// The nonlinearity.
  var activation: Activation { get }
}

extension PointwiseLayer {
  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape { input }

  /// The activated batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.activation(activation)
  }
}

/// Any nonlinearity as a layer.
public struct ActivationLayer: PointwiseLayer {
  /// The nonlinearity.
  public let activation: Activation
  /// A layer that applies an activation.
  public init(_ activation: Activation) { self.activation = activation }
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// max(x, 0).
public struct Relu: PointwiseLayer {
  /// The nonlinearity.
  public let activation = Activation.relu
  /// A layer without options.
  public init() {}
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// x, or `slope` * x below 0.
public struct LeakyRelu: PointwiseLayer {
  /// The nonlinearity.
  public let activation: Activation
  /// A layer with the given slope below 0.
  public init(slope: Float = 0.01) { activation = .leakyRelu(slope: slope) }
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// x, or alpha * (exp(x) - 1) below 0.
public struct Elu: PointwiseLayer {
  /// The nonlinearity.
  public let activation: Activation
  /// A layer that tends to -alpha.
  public init(alpha: Float = 1) { activation = .elu(alpha: alpha) }
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// 1 / (1 + exp(-x)).
public struct Sigmoid: PointwiseLayer {
  /// The nonlinearity.
  public let activation = Activation.sigmoid
  /// A layer without options.
  public init() {}
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// The hyperbolic tangent.
public struct Tanh: PointwiseLayer {
  /// The nonlinearity.
  public let activation = Activation.tanh
  /// A layer without options.
  public init() {}
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// log(1 + exp(x)).
public struct Softplus: PointwiseLayer {
  /// The nonlinearity.
  public let activation = Activation.softplus
  /// A layer without options.
  public init() {}
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// x * Φ(x).
public struct Gelu: PointwiseLayer {
  /// The nonlinearity.
  public let activation = Activation.gelu
  /// A layer without options.
  public init() {}
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}

/// x * sigmoid(x).
public struct Silu: PointwiseLayer {
  /// The nonlinearity.
  public let activation = Activation.silu
  /// A layer without options.
  public init() {}
  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }
}
