internal import Glibc
internal import KeelBackend

/// The activation of gates.
func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

/// The extents of a recurrent layer over a sequence, and its loops in Double.
struct SequenceSizes: Sendable {
  var batch: Int
  var steps: Int
  var features: Int
  var units: Int
  var gates: Int
  var isReversed: Bool

  var geometry: RecurrentGeometry {
    RecurrentGeometry(
      batch: batch, steps: steps, features: features, units: units, isReversed: isReversed)
  }

  /// x, the two weights and the bias, of a size that keeps the states in range.
  func inputs(_ fill: CaseInput.Fill, hasBias: Bool = true) -> [CaseInput] {
    let columns = gates * units
    let spread = 1 / Float(max(features, units)).squareRoot()
    let operands = [
      CaseInput([batch, steps, features], fill),
      CaseInput([features, columns], .uniform(-spread, spread)),
      CaseInput([units, columns], .uniform(-spread, spread)),
    ]
    return operands + (hasBias ? [CaseInput([columns], .uniform(-1, 1))] : [])
  }

  /// The products with both weights; every operand read once, the result written once.
  var work: OperationCase.Work {
    let columns = gates * units
    let rows = batch * steps
    return .init(
      flops: 2 * rows * (features + units) * columns,
      bytes: 4 * (rows * (features + units) + (features + units + 1) * columns))
  }

  /// All hidden states. `cell` gives that of one place of the state (row * units + unit) from its
  /// gates' parts z of the input and q of the state before, and from the state before.
  func run(
    _ t: [[Double]],
    cell: (_ place: Int, _ z: [Double], _ q: [Double], _ before: Double) -> Double
  ) -> [Double] {
    let columns = gates * units
    var result = [Double](repeating: 0, count: batch * steps * units)
    var state = [Double](repeating: 0, count: batch * units)
    for step in 0..<steps {
      let time = isReversed ? steps - 1 - step : step
      let before = state
      for row in 0..<batch {
        var z = t.count > 3 ? t[3] : [Double](repeating: 0, count: columns)
        var q = [Double](repeating: 0, count: columns)
        for f in 0..<features {
          let value = t[0][(row * steps + time) * features + f]
          for c in 0..<columns { z[c] += value * t[1][f * columns + c] }
        }
        for u in 0..<units {
          let value = before[row * units + u]
          for c in 0..<columns { q[c] += value * t[2][u * columns + c] }
        }
        for u in 0..<units {
          let place = row * units + u
          state[place] = cell(
            place, (0..<gates).map { z[$0 * units + u] }, (0..<gates).map { q[$0 * units + u] },
            before[place])
          result[(row * steps + time) * units + u] = state[place]
        }
      }
    }
    return result
  }
}
