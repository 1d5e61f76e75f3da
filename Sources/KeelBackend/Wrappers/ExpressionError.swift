internal import Glibc

/// A bound of the rounding error of a formula at given numbers: a running error analysis
/// (Wilkinson, 1963), where each function is evaluated at the ends of its operands' ranges too, so
/// that steps and poles count as what they are.
struct ExpressionError {
  private let program: PointwiseProgram
  private static let unit = 0x1p-24
  private static let smallest = Double(Float.leastNormalMagnitude)
  private static let largest = Double(Float.greatestFiniteMagnitude)

  /// A number and how far a device's may lie from it.
  private struct Rough {
    var value: Double
    var error: Double

    /// The number and the ends of its range.
    var ends: [Double] { error > 0 ? [value, value - error, value + error] : [value] }
  }

  init(_ expression: Expression) { program = PointwiseProgram(expression) }

  /// How far the result of one device may lie from the exact one; infinite where anything may come
  /// out.
  func error(_ inputs: [Double]) -> Double {
    var registers: [Rough] = []
    for instruction in program.instructions {
      let next: Rough
      switch instruction {
      case .input(let position): next = Rough(value: inputs[position], error: 0)
      case .parameter(let position):
        next = Rough(value: Double(program.parameters[position]), error: 0)
      case .unary(let function, let operand):
        next = Self.apply(function, registers[operand])
      case .binary(let function, let left, let right):
        next = Self.apply(function, registers[left], registers[right])
      case .select(let condition, let then, let otherwise):
        next = Self.select(registers[condition], registers[then], registers[otherwise])
      }
      registers.append(next)
    }
    return registers.last?.error ?? 0
  }

  /// A result among those that its operands' ranges allow, rounded with an error of `roundings`.
  private static func rough(_ results: [Double], roundings: Double) -> Rough {
    let value = results[0]
    var error = 0.0
    for other in results.dropFirst() where !(other == value || (other.isNaN && value.isNaN)) {
      let distance = abs(other - value)
      error = max(error, distance.isNaN ? .infinity : distance)
    }
    if value.isFinite {
      error += roundings * unit * abs(value) + (roundings > 0 ? smallest : 0)
      // Beyond the range of float32 it is infinite, on one device or on both.
      if abs(value) + error > largest, abs(value) - error < 2 * largest { error = .infinity }
      if abs(value) >= 2 * largest {
        return Rough(value: value > 0 ? .infinity : -.infinity, error: 0)
      }
    }
    return Rough(value: value, error: error)
  }

  private static func apply(_ function: UnaryFunction, _ x: Rough) -> Rough {
    if function == .sign, x.error > 0, abs(x.value) <= x.error {
      return Rough(value: x.value, error: 2)
    }
    let (roundings, evaluate): (Double, (Double) -> Double) =
      switch function {
      case .negate: (0, { -$0 })
      case .abs: (0, { Swift.abs($0) })
      case .sign: (0, { $0.isNaN ? $0 : ($0 > 0 ? 1 : ($0 < 0 ? -1 : 0)) })
      case .sqrt: (8, { $0.squareRoot() })
      case .exp: (40, { Glibc.exp($0) })
      case .expm1: (40, { Glibc.expm1($0) })
      case .log: (40, { Glibc.log($0) })
      case .log1p: (40, { Glibc.log1p($0) })
      case .tanh: (40, { Glibc.tanh($0) })
      case .sigmoid: (40, { 1 / (1 + Glibc.exp(-$0)) })
      case .erf: (40, { Glibc.erf($0) })
      case .reciprocal: (8, { 1 / $0 })
      case .roundedToHalf: (0, Self.half)
      }
    return rough(x.ends.map(evaluate), roundings: roundings)
  }

  /// Rounded to half precision, less the ties, which a range around them covers.
  private static func half(_ x: Double) -> Double {
    guard x.isFinite, x != 0 else { return x }
    let step = pow(2, Double(max(x.exponent, -14) - 10))
    let rounded = (x / step).rounded(.toNearestOrEven) * step
    return Swift.abs(rounded) >= 65536 ? (x < 0 ? -.infinity : .infinity) : rounded
  }

  private static func apply(_ function: BinaryFunction, _ x: Rough, _ y: Rough) -> Rough {
    let isClose = x.error + y.error > 0 && abs(x.value - y.value) <= x.error + y.error
    let (roundings, evaluate): (Double, (Double, Double) -> Double)
    switch function {
    case .add: (roundings, evaluate) = (1, { $0 + $1 })
    case .subtract: (roundings, evaluate) = (1, { $0 - $1 })
    case .multiply: (roundings, evaluate) = (1, { $0 * $1 })
    case .divide: (roundings, evaluate) = (8, { $0 / $1 })
    case .power: (roundings, evaluate) = (40, { pow($0, $1) })
    case .maximum:
      (roundings, evaluate) = (0, { $0.isNaN || $1.isNaN ? .nan : Swift.max($0, $1) })
    case .minimum:
      (roundings, evaluate) = (0, { $0.isNaN || $1.isNaN ? .nan : Swift.min($0, $1) })
    case .less, .lessOrEqual, .greater, .greaterOrEqual, .equal, .notEqual:
      return Rough(value: compare(function, x.value, y.value) ? 1 : 0, error: isClose ? 1 : 0)
    }
    var results: [Double] = []
    for left in x.ends { for right in y.ends { results.append(evaluate(left, right)) } }
    return rough(results, roundings: roundings)
  }

  private static func compare(_ function: BinaryFunction, _ x: Double, _ y: Double) -> Bool {
    switch function {
    case .less: x < y
    case .lessOrEqual: x <= y
    case .greater: x > y
    case .greaterOrEqual: x >= y
    case .equal: x == y
    default: x != y
    }
  }

  private static func select(_ condition: Rough, _ then: Rough, _ otherwise: Rough) -> Rough {
    if condition.error > 0, abs(condition.value) <= condition.error {
      var both = rough([then.value, otherwise.value], roundings: 0)
      both.error += max(then.error, otherwise.error)
      return both
    }
    return condition.value != 0 ? then : otherwise
  }
}
