/// A nonlinearity, as a formula of its input.
public enum Activation: Hashable, Sendable, Codable {
  /// x.
  case identity
  /// max(x, 0); NaN stays NaN.
  case relu
  /// x where x > 0, else slope * x.
  case leakyRelu(slope: Float)
  /// x where x > 0, else alpha * (exp(x) - 1). Clevert et al., 2015.
  case elu(alpha: Float)
  /// 1 / (1 + exp(-x)).
  case sigmoid
  /// tanh(x).
  case tanh
  /// log(1 + exp(x)), computed as max(x, 0) + log1p(exp(-|x|)).
  case softplus
  /// x * Φ(x), with the exact normal distribution function. Hendrycks & Gimpel, 2016.
  case gelu
  /// x * sigmoid(x), also called swish. Elfwing et al., 2018.
  case silu

  /// The formula, of input 0.
  public var expression: Expression { of(.x) }

  package func of(_ x: Expression) -> Expression {
    switch self {
    case .identity: x
    case .relu: (x <= 0).select(0, x)
    case .leakyRelu(let slope): (x <= 0).select(.constant(slope) * x, x)
    case .elu(let alpha): (x <= 0).select(.constant(alpha) * x.expm1(), x)
    case .sigmoid: x.sigmoid()
    case .tanh: x.tanh()
    case .softplus: x.maximum(0) + (-x.abs()).exp().log1p()
    // 1 / sqrt(2)
    case .gelu: 0.5 * x * (1 + (0.707_106_77 * x).erf())
    case .silu: x * x.sigmoid()
    }
  }

  /// The derivative as a formula of the *output* y (input 0), where there is one. Such an
  /// activation can be fused into the operation before it: its input need not be kept.
  package var derivativeOfOutput: Expression? {
    let y = Expression.x
    switch self {
    case .identity: return 1
    case .relu: return (y <= 0).select(0, 1)
    case .leakyRelu(let slope): return slope > 0 ? (y <= 0).select(.constant(slope), 1) : nil
    case .elu(let alpha): return alpha > 0 ? (y <= 0).select(y + .constant(alpha), 1) : nil
    case .sigmoid: return y * (1 - y)
    case .tanh: return 1 - y * y
    case .softplus, .gelu, .silu: return nil
    }
  }

  /// Whether kernels can apply it in their epilogue and differentiate it from the output.
  package var isFusable: Bool { derivativeOfOutput != nil }

  /// The number by which kernels know a fusable activation (`ACTIVATION` in `prelude.cl`).
  package var kernelCode: Int {
    switch self {
    case .identity: 0
    case .relu: 1
    case .leakyRelu: 2
    case .elu: 3
    case .sigmoid: 4
    case .tanh: 5
    case .softplus, .gelu, .silu: preconditionFailure("not fusable")
    }
  }

  /// The slope or alpha that goes with ``kernelCode``; 0 where there is none.
  package var kernelParameter: Float {
    switch self {
    case .leakyRelu(let slope): slope
    case .elu(let alpha): alpha
    default: 0
    }
  }

  /// The name users write, such as `relu`.
  public var name: String {
    switch self {
    case .identity: "identity"
    case .relu: "relu"
    case .leakyRelu: "leaky_relu"
    case .elu: "elu"
    case .sigmoid: "sigmoid"
    case .tanh: "tanh"
    case .softplus: "softplus"
    case .gelu: "gelu"
    case .silu: "silu"
    }
  }
}
