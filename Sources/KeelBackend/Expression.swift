/// A function of one number that a formula may use.
package enum UnaryFunction: String, Sendable, CaseIterable {
  case negate, abs, sign, sqrt, exp, expm1, log, log1p, tanh, sigmoid, erf, reciprocal
  /// To IEEE half precision and back: ties to even, infinite from 65520 on.
  case roundedToHalf
}

/// A function of two numbers that a formula may use. Comparisons give 1 or 0 (0 with a NaN).
package enum BinaryFunction: String, Sendable, CaseIterable {
  case add, subtract, multiply, divide, power
  /// The larger (smaller) operand; NaN if either is NaN.
  case maximum, minimum
  case less, lessOrEqual, greater, greaterOrEqual, equal, notEqual
}

/// A formula over the elements of arrays, evaluated in float32 as one kernel.
///
/// Build it from ``x``, ``y``, ``z``, numbers, operators and functions:
///
/// ```swift
/// let huber = (.x.abs() <= 1).select(0.5 * .x * .x, .x.abs() - 0.5)
/// ```
///
/// Inputs of type int32 and uint8 are converted to float32 when they are read. Constants become
/// arguments of the kernel, so that formulas that differ only in numbers share one.
public indirect enum Expression: Hashable, Sendable {
  /// The element of the input at this position.
  case input(Int)
  /// A number.
  case constant(Float)
  /// A function of one operand; build it with a method such as ``exp()``.
  case unary(Function1, Expression)
  /// A function of two operands; build it with an operator or method.
  case binary(Function2, Expression, Expression)
  /// The second operand where the first is not 0 (NaN counts as not 0), else the third.
  case select(Expression, Expression, Expression)

  /// An opaque name of a function of one operand.
  public struct Function1: Hashable, Sendable { package let function: UnaryFunction }
  /// An opaque name of a function of two operands.
  public struct Function2: Hashable, Sendable { package let function: BinaryFunction }

  /// The first input.
  public static let x = Expression.input(0)
  /// The second input.
  public static let y = Expression.input(1)
  /// The third input.
  public static let z = Expression.input(2)
}

extension Expression: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  /// A constant.
  public init(floatLiteral value: Float) { self = .constant(value) }
  /// A constant.
  public init(integerLiteral value: Int) { self = .constant(Float(value)) }
}

extension Expression {
  package static func apply(_ function: UnaryFunction, _ operand: Expression) -> Expression {
    .unary(Function1(function: function), operand)
  }
  package static func apply(
    _ function: BinaryFunction, _ left: Expression, _ right: Expression
  ) -> Expression {
    .binary(Function2(function: function), left, right)
  }

  /// The sum.
  public static func + (left: Expression, right: Expression) -> Expression {
    apply(.add, left, right)
  }
  /// The difference.
  public static func - (left: Expression, right: Expression) -> Expression {
    apply(.subtract, left, right)
  }
  /// The product.
  public static func * (left: Expression, right: Expression) -> Expression {
    apply(.multiply, left, right)
  }
  /// The quotient.
  public static func / (left: Expression, right: Expression) -> Expression {
    apply(.divide, left, right)
  }
  /// The negative.
  public static prefix func - (operand: Expression) -> Expression { apply(.negate, operand) }

  /// 1 where less, else 0.
  public static func < (left: Expression, right: Expression) -> Expression {
    apply(.less, left, right)
  }
  /// 1 where less or equal, else 0.
  public static func <= (left: Expression, right: Expression) -> Expression {
    apply(.lessOrEqual, left, right)
  }
  /// 1 where greater, else 0.
  public static func > (left: Expression, right: Expression) -> Expression {
    apply(.greater, left, right)
  }
  /// 1 where greater or equal, else 0.
  public static func >= (left: Expression, right: Expression) -> Expression {
    apply(.greaterOrEqual, left, right)
  }
  /// 1 where equal, else 0.
  public func equal(_ other: Expression) -> Expression { Expression.apply(.equal, self, other) }
  /// 1 where not equal (or NaN), else 0.
  public func notEqual(_ other: Expression) -> Expression {
    Expression.apply(.notEqual, self, other)
  }

  /// The absolute value.
  public func abs() -> Expression { Expression.apply(.abs, self) }
  /// -1, 0 or 1; NaN of NaN.
  public func sign() -> Expression { Expression.apply(.sign, self) }
  /// The square root.
  public func sqrt() -> Expression { Expression.apply(.sqrt, self) }
  /// e to the power of this.
  public func exp() -> Expression { Expression.apply(.exp, self) }
  /// exp(x) - 1, precise near 0.
  public func expm1() -> Expression { Expression.apply(.expm1, self) }
  /// The natural logarithm.
  public func log() -> Expression { Expression.apply(.log, self) }
  /// log(1 + x), precise near 0.
  public func log1p() -> Expression { Expression.apply(.log1p, self) }
  /// The hyperbolic tangent.
  public func tanh() -> Expression { Expression.apply(.tanh, self) }
  /// The logistic function 1 / (1 + exp(-x)).
  public func sigmoid() -> Expression { Expression.apply(.sigmoid, self) }
  /// The error function.
  public func erf() -> Expression { Expression.apply(.erf, self) }
  /// The nearest number of IEEE 754 half precision (11 digits of two, 5 of the exponent): ties go
  /// to the even one, 65520 and beyond to infinity, below 2^-14 to multiples of 2^-24.
  public func roundedToHalf() -> Expression { Expression.apply(.roundedToHalf, self) }
  /// One divided by this.
  public func reciprocal() -> Expression { Expression.apply(.reciprocal, self) }
  /// This raised to a power.
  public func power(_ exponent: Expression) -> Expression {
    Expression.apply(.power, self, exponent)
  }
  /// The larger; NaN if either is NaN.
  public func maximum(_ other: Expression) -> Expression {
    Expression.apply(.maximum, self, other)
  }
  /// The smaller; NaN if either is NaN.
  public func minimum(_ other: Expression) -> Expression {
    Expression.apply(.minimum, self, other)
  }
  /// `then` where this is not 0, `otherwise` elsewhere.
  public func select(_ then: Expression, _ otherwise: Expression) -> Expression {
    .select(self, then, otherwise)
  }

  /// How many inputs the formula reads: one more than the largest position in it.
  public var inputCount: Int {
    switch self {
    case .input(let position): position + 1
    case .constant: 0
    case .unary(_, let operand): operand.inputCount
    case .binary(_, let left, let right): max(left.inputCount, right.inputCount)
    case .select(let condition, let left, let right):
      max(condition.inputCount, left.inputCount, right.inputCount)
    }
  }

  /// This formula with every input replaced by a formula.
  package func substituting(_ replacement: (Int) -> Expression) -> Expression {
    switch self {
    case .input(let position): replacement(position)
    case .constant: self
    case .unary(let function, let operand): .unary(function, operand.substituting(replacement))
    case .binary(let function, let left, let right):
      .binary(function, left.substituting(replacement), right.substituting(replacement))
    case .select(let condition, let left, let right):
      .select(
        condition.substituting(replacement), left.substituting(replacement),
        right.substituting(replacement))
    }
  }
}
