internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Activations as operations of their own.
enum ActivationCases {
  static let all: [OperationCase] =
    PointwiseCases.function(
      "relu", .exact, { (x) throws(TensorError) in try x.relu() }, { formula(.relu, $0) })
    + PointwiseCases.function(
      "leaky_relu", .rounding, { (x) throws(TensorError) in try x.leakyRelu(slope: 0.1) },
      { formula(.leakyRelu(slope: 0.1), $0) })
    + PointwiseCases.function(
      "elu", .transcendental, { (x) throws(TensorError) in try x.elu(alpha: 1.5) },
      { formula(.elu(alpha: 1.5), $0) })
    + PointwiseCases.function(
      "sigmoid", .transcendental, from: -8, to: 8,
      { (x) throws(TensorError) in try x.sigmoid() }, { formula(.sigmoid, $0) })
    + PointwiseCases.function(
      "tanh", .transcendental, from: -4, to: 4, { (x) throws(TensorError) in try x.tanh() },
      { formula(.tanh, $0) })
    + PointwiseCases.function(
      "softplus", .transcendental, from: -8, to: 8,
      { (x) throws(TensorError) in try x.softplus() }, { formula(.softplus, $0) })
    // 1 + erf cancels where x is far below 0: the error is relative to x.
    + PointwiseCases.function(
      "gelu", .transcendental, from: -4, to: 4, magnitude: { abs($0) },
      { (x) throws(TensorError) in try x.gelu() }, { formula(.gelu, $0) })
    + PointwiseCases.function(
      "silu", .transcendental, from: -8, to: 8, { (x) throws(TensorError) in try x.silu() },
      { formula(.silu, $0) })
    + PointwiseCases.function(
      "activation_by_name", .rounding,
      { (x) throws(TensorError) in try x.activation(.leakyRelu(slope: 0.25)) },
      { formula(.leakyRelu(slope: 0.25), $0) })

  /// Each activation in Double.
  static func formula(_ activation: Activation, _ x: Double) -> Double {
    switch activation {
    case .identity: return x
    case .relu: return x <= 0 ? 0 : x
    case .leakyRelu(let slope): return x <= 0 ? Double(slope) * x : x
    case .elu(let alpha): return x <= 0 ? Double(alpha) * expm1(x) : x
    case .sigmoid: return 1 / (1 + exp(-x))
    case .tanh: return Glibc.tanh(x)
    case .softplus: return x.isNaN ? x : max(x, 0) + log1p(exp(-abs(x)))
    case .gelu: return 0.5 * x * (1 + erf(x * 0.5.squareRoot()))
    case .silu: return x / (1 + exp(-x))
    }
  }
}
