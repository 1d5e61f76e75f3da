internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Long short-term memory: one cell and its gradient straight on the contract, and whole sequences.
enum LSTMCases {
  static let all: [OperationCase] =
    [
      cell("cell_rows5_units17", 5, 17),
      cell("cell_rows33_units3", 33, 3),
      cell("cell_rows3_units16", 3, 16),
      cell("cell_rows1_units1", 1, 1),
      cell("cell_rows2_units130", 2, 130),
      cell("cell_rows700_units5", 700, 5),
      cell("cell_first_rows3_units3", 3, 3, hasState: false),
      cell("cell_first_rows9_units32", 9, 32, hasState: false),
      cell("cell_saturated", 7, 9, .repeating([-200, 90, 200, 0.5, -90])),
      cell("cell_nan", 7, 9, .sprinkled([.nan])),
      cell("cell_infinite", 7, 9, .sprinkled([.infinity, -.infinity])),
      pull("cell_gradient_rows5_units17", 5, 17),
      pull("cell_gradient_rows33_units3", 33, 3),
      pull("cell_gradient_rows2_units130", 2, 130),
      pull("cell_gradient_rows700_units5", 700, 5),
      pull("cell_gradient_first_rows3_units3", 3, 3, hasState: false),
      pull("cell_gradient_last_rows3_units4", 3, 4, hasLater: false),
      pull("cell_gradient_only_rows1_units1", 1, 1, hasState: false, hasLater: false),
      pull("cell_gradient_nan", 7, 9, upstream: .sprinkled([.nan])),
      sequence("sequence_3x5x4_units7", 3, 5, 4, 7),
      sequence("sequence_reversed", 3, 5, 4, 7, reversed: true),
      sequence("sequence_one_step", 4, 1, 3, 5),
      sequence("sequence_one_of_all", 1, 1, 1, 1),
      sequence("sequence_one_example", 1, 9, 2, 3),
      sequence("sequence_without_bias", 2, 4, 5, 6, hasBias: false),
      sequence("sequence_aligned_4x3x8_units32", 4, 3, 8, 32),
      sequence("sequence_33_steps", 2, 33, 3, 4),
      sequence("sequence_reversed_19_steps", 2, 19, 3, 4, reversed: true),
      sequence("sequence_nan", 2, 3, 7, 5, .sprinkled([.nan]), gradient: false),
      sequence("sequence_64x64x256_units256", 64, 64, 256, 256, isLarge: true),
    ]

  private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  /// The place of a unit's first gate in rows of 4 * units.
  private static func gate(_ place: Int, _ units: Int) -> Int {
    place / units * 4 * units + place % units
  }

  // MARK: One cell

  private static func cell(
    _ label: String, _ rows: Int, _ units: Int, _ fill: CaseInput.Fill = .uniform(-4, 4),
    hasState: Bool = true
  ) -> OperationCase {
    let (wide, narrow): (Shape, Shape) = ([rows, 4 * units], [rows, units])
    let inputs = [CaseInput(wide, fill)] + (hasState ? [CaseInput(wide), CaseInput(narrow)] : [])
    return OperationCase(
      .lstm, label, inputs: inputs, tolerance: .transcendental,
      magnitude: .given { step($0, units, isMagnitude: true) },
      outputs: { (t) throws(TensorError) in
        try t.direct([wide, narrow, narrow]) { (backend, out) throws(DeviceError) in
          try backend.lstmCell(
            t[0].value, recurrent: hasState ? t[1].value : nil,
            previous: hasState ? t[2].value : nil, into: out[0], cell: out[1], hidden: out[2])
        }
      },
      oracles: { step($0, units, isMagnitude: false) })
  }

  /// Gates, cell and hidden state by the contract's formulas; or what errors are measured against:
  /// the rounding of z, which the gates pass on, and of the sums.
  private static func step(
    _ t: [[Double]], _ units: Int, isMagnitude: Bool
  ) -> [[Double]] {
    let hasState = t.count > 1
    var gates = t[0]
    var cells = [Double](repeating: 0, count: t[0].count / 4)
    var hidden = cells
    for place in cells.indices {
      let start = gate(place, units)
      for part in 0..<4 {
        let z = t[0][start + part * units] + (hasState ? t[1][start + part * units] : 0)
        gates[start + part * units] = part == 2 ? tanh(z) : sigmoid(z)
      }
      let (i, f) = (gates[start], gates[start + units])
      let (g, o) = (gates[start + 2 * units], gates[start + 3 * units])
      let (kept, added) = (f * (hasState ? t[2][place] : 0), i * g)
      cells[place] = isMagnitude ? abs(kept) + abs(added) : kept + added
      hidden[place] = isMagnitude ? 1 : o * tanh(cells[place])
    }
    guard isMagnitude else { return [gates, cells, hidden] }
    return [[Double](repeating: 1, count: gates.count), cells.map { $0 + 1 }, hidden]
  }

  // MARK: The gradient of one cell

  private static func pull(
    _ label: String, _ rows: Int, _ units: Int, upstream: CaseInput.Fill = .uniform(-2, 2),
    hasState: Bool = true, hasLater: Bool = true
  ) -> OperationCase {
    let (wide, narrow): (Shape, Shape) = ([rows, 4 * units], [rows, units])
    let inputs = [
      CaseInput(wide, .uniform(0, 1)), CaseInput(narrow), CaseInput(narrow, upstream),
      CaseInput(narrow), CaseInput(narrow), CaseInput(narrow),
    ]
    return OperationCase(
      .lstm, label, inputs: inputs, tolerance: .transcendental,
      magnitude: .given { pulled($0, units, hasState, hasLater, isMagnitude: true) },
      outputs: { (t) throws(TensorError) in
        try t.direct([wide, narrow]) { (backend, out) throws(DeviceError) in
          try backend.lstmCellGradient(
            gates: t[0].value, cell: t[1].value, previous: hasState ? t[3].value : nil,
            upstream: t[2].value, recurrent: hasLater ? t[4].value : nil,
            carried: hasLater ? t[5].value : nil, into: out[0], dcell: out[1])
        }
      },
      oracles: { pulled($0, units, hasState, hasLater, isMagnitude: false) })
  }

  /// dz and dcell by the contract's formulas, or those of their terms' absolute values.
  private static func pulled(
    _ t: [[Double]], _ units: Int, _ hasState: Bool, _ hasLater: Bool, isMagnitude: Bool
  ) -> [[Double]] {
    func term(_ value: Double) -> Double { isMagnitude ? abs(value) : value }
    var (dz, dcell) = (t[0], t[1])
    for place in dcell.indices {
      let start = gate(place, units)
      let (i, f) = (t[0][start], t[0][start + units])
      let (g, o) = (t[0][start + 2 * units], t[0][start + 3 * units])
      let c = tanh(t[1][place])
      let dh = term(t[2][place]) + (hasLater ? term(t[4][place]) : 0)
      // In a magnitude, 1 - c * c has lost what its terms had.
      let through = dh * o * (isMagnitude ? 1 : 1 - c * c)
      let dc = (hasLater ? term(t[5][place]) : 0) + through
      dz[start] = dc * term(g) * i * (isMagnitude ? 1 : 1 - i)
      dz[start + units] = dc * (hasState ? term(t[3][place]) : 0) * f * (isMagnitude ? 1 : 1 - f)
      dz[start + 2 * units] = dc * i * (isMagnitude ? 1 : 1 - g * g)
      dz[start + 3 * units] = dh * term(c) * o * (isMagnitude ? 1 : 1 - o)
      dcell[place] = dc * f
    }
    return [dz, dcell]
  }

  // MARK: Sequences

  private static func sequence(
    _ label: String, _ batch: Int, _ steps: Int, _ features: Int, _ units: Int,
    _ fill: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false, hasBias: Bool = true,
    gradient: Bool = true, isLarge: Bool = false
  ) -> OperationCase {
    let sizes = SequenceSizes(
      batch: batch, steps: steps, features: features, units: units, gates: 4,
      isReversed: reversed)
    return OperationCase(
      .lstm, label, inputs: sizes.inputs(fill, hasBias: hasBias),
      tolerance: .transcendentalSum(of: steps * (features + units)),
      magnitude: .given { [[Double](repeating: 1, count: $0[0].count / features * units)] },
      differentiable: gradient && !isLarge ? Array(0..<(hasBias ? 4 : 3)) : [],
      work: isLarge ? sizes.work : nil,
      run: { (t) throws(TensorError) in
        try t[0].lstm(
          inputWeight: t[1], recurrentWeight: t[2], bias: hasBias ? t[3] : nil,
          reversed: reversed)
      },
      oracle: { t in
        var cells = [Double](repeating: 0, count: batch * units)
        return sizes.run(t) { place, z, q, _ in
          let sum = zip(z, q).map { $0 + $1 }
          cells[place] = sigmoid(sum[1]) * cells[place] + sigmoid(sum[0]) * tanh(sum[2])
          return sigmoid(sum[3]) * tanh(cells[place])
        }
      })
  }
}

/// The extents of a recurrent layer over a sequence, and its loops in Double.
struct SequenceSizes: Sendable {
  var batch: Int
  var steps: Int
  var features: Int
  var units: Int
  var gates: Int
  var isReversed: Bool

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
