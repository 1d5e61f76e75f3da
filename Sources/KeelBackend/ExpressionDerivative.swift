extension Expression {
  /// The partial derivative of this formula with respect to one of its inputs, as a formula.
  ///
  /// Conventions where the derivative does not exist: |x|' = 0 at 0; maximum and minimum give
  /// half to each of two equal operands; rounding to half passes gradients as they are; comparisons
  /// and sign have derivative 0; the derivative of a select is the select of the derivatives;
  /// d(x^y)/dy = 0 where x = 0.
  package func derivative(withRespectTo position: Int) -> Expression {
    switch self {
    case .input(let own): own == position ? 1 : 0
    case .constant: 0
    case .unary(let name, let operand):
      operand.derivative(withRespectTo: position)
        .times(Expression.slope(of: name.function, at: operand))
    case .binary(let name, let left, let right):
      Expression.derivative(
        of: name.function, left, right, left.derivative(withRespectTo: position),
        right.derivative(withRespectTo: position))
    case .select(let condition, let then, let otherwise):
      Expression.simpleSelect(
        condition, then.derivative(withRespectTo: position),
        otherwise.derivative(withRespectTo: position))
    }
  }

  /// f'(u) for a function of one operand.
  private static func slope(of function: UnaryFunction, at operand: Expression) -> Expression {
    switch function {
    case .negate: -1
    case .abs: operand.sign()
    case .sign: 0
    // The derivative of the steps is 0 or does not exist; a cast is meant to be the identity.
    case .roundedToHalf: 1
    case .sqrt: 0.5 / operand.sqrt()
    case .exp, .expm1: operand.exp()
    case .log: operand.reciprocal()
    case .log1p: (1 + operand).reciprocal()
    case .sigmoid: operand.sigmoid() * (1 - operand.sigmoid())
    case .tanh: 1 - operand.tanh() * operand.tanh()
    // 2 / sqrt(pi)
    case .erf: 1.128_379_2 * (-(operand * operand)).exp()
    case .reciprocal: -(operand.reciprocal() * operand.reciprocal())
    }
  }

  /// The derivative of f(left, right), where `left'` and `right'` are those of the operands.
  private static func derivative(
    of function: BinaryFunction, _ left: Expression, _ right: Expression,
    _ leftSlope: Expression, _ rightSlope: Expression
  ) -> Expression {
    switch function {
    case .add: return leftSlope.plus(rightSlope)
    case .subtract: return leftSlope.plus(rightSlope.times(-1))
    case .multiply: return leftSlope.times(right).plus(rightSlope.times(left))
    case .divide:
      return leftSlope.times(right.reciprocal())
        .plus(rightSlope.times(-(left / (right * right))))
    case .power:
      let base = right * left.power(right - 1)
      let exponent = left.equal(0).select(0, left.power(right) * left.log())
      return leftSlope.times(base).plus(rightSlope.times(exponent))
    case .maximum, .minimum:
      let wins = function == .maximum ? left > right : left < right
      let share = wins.select(1, left.equal(right).select(0.5, 0))
      return leftSlope.times(share).plus(rightSlope.times(1 - share))
    case .less, .lessOrEqual, .greater, .greaterOrEqual, .equal, .notEqual: return 0
    }
  }

  /// The product; a factor that is 0 or 1 by construction leaves no trace.
  private func times(_ other: Expression) -> Expression {
    switch (self, other) {
    case (.constant(0), _), (_, .constant(0)): 0
    case (.constant(1), _): other
    case (_, .constant(1)): self
    default: self * other
    }
  }

  /// The sum; a term that is 0 by construction leaves no trace.
  private func plus(_ other: Expression) -> Expression {
    switch (self, other) {
    case (.constant(0), _): other
    case (_, .constant(0)): self
    default: self + other
    }
  }

  /// A select whose branches differ, or the branch they share.
  private static func simpleSelect(
    _ condition: Expression, _ then: Expression, _ otherwise: Expression
  ) -> Expression {
    then == otherwise ? then : .select(condition, then, otherwise)
  }
}
