internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Long short-term memory: the two operations straight on the contract, and whole layers.
enum LSTMCases {
  static let all: [OperationCase] =
    [
      states("states_one_of_all", 1, 1, 1, 1),
      states("states_1x4x2_units5", 1, 4, 2, 5),
      states("states_3x4x5_units20", 3, 4, 5, 20),
      states("states_13x3x4_units33", 13, 3, 4, 33),
      states("states_129x2x3_units5", 129, 2, 3, 5),
      states("states_7x3x28_units128", 7, 3, 28, 128),
      states("states_reversed_6x5x3_units16", 6, 5, 3, 16, reversed: true),
      states("states_without_bias_5x2x3_units7", 5, 2, 3, 7, hasBias: false),
      // Weights that are read once for several tiles of rows on CPU-class devices; for GPUs, a
      // product and a cell for each step.
      states("states_15x3x2_units260", 15, 3, 2, 260),
      states("states_reversed_2x3x2_units260", 2, 3, 2, 260, reversed: true),
      states("states_saturated", 7, 3, 4, 9, .repeating([-200, 90, 200, 0.5, -90])),
      states("states_nan", 7, 3, 4, 9, .sprinkled([.nan])),
      states("states_infinite", 7, 3, 1, 9, .sprinkled([.infinity, -.infinity])),
      pull("gradient_one_of_all", 1, 1, 1),
      pull("gradient_1x4_units5", 1, 4, 5),
      pull("gradient_3x4_units20", 3, 4, 20),
      pull("gradient_13x3_units33", 13, 3, 33),
      pull("gradient_129x2_units5", 129, 2, 5),
      pull("gradient_7x3_units128", 7, 3, 128),
      pull("gradient_reversed_6x5_units16", 6, 5, 16, reversed: true),
      pull("gradient_15x3_units260", 15, 3, 260),
      pull("gradient_reversed_2x3_units260", 2, 3, 260, reversed: true),
      pull("gradient_nan", 7, 3, 9, .sprinkled([.nan])),
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

  // MARK: Forward

  private static func states(
    _ label: String, _ batch: Int, _ steps: Int, _ features: Int, _ units: Int,
    _ fill: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false, hasBias: Bool = true
  ) -> OperationCase {
    let sizes = SequenceSizes(
      batch: batch, steps: steps, features: features, units: units, gates: 4,
      isReversed: reversed)
    let geometry = sizes.geometry
    let (wide, narrow): (Shape, Shape) = ([batch, steps, 4 * units], [batch, steps, units])
    return OperationCase(
      .lstm, label, inputs: sizes.inputs(fill, hasBias: hasBias),
      tolerance: .transcendentalSum(of: steps * (features + units)),
      // Gates and hidden states are at most 1; a cell adds at most 1 in each step.
      magnitude: .given { opened($0, geometry).map { $0.map { max(1, abs($0)) } } },
      outputs: { (t) throws(TensorError) in
        try t.direct([narrow, wide, narrow, narrow]) { (backend, out) throws(DeviceError) in
          try backend.lstm(
            t[0].value, inputWeight: t[1].value, recurrentWeight: t[2].value,
            bias: hasBias ? t[3].value : nil, geometry, into: out[0],
            states: LSTMStates(gates: out[1], cells: out[2], before: out[3]))
        }
      },
      oracles: { opened($0, geometry) })
  }

  /// Hidden states, gates, cells and hidden states before by the contract's formulas.
  private static func opened(_ t: [[Double]], _ geometry: RecurrentGeometry) -> [[Double]] {
    let (steps, units, features) = (geometry.steps, geometry.units, geometry.features)
    let shift = t.count > 3 ? t[3] : [Double](repeating: 0, count: 4 * units)
    var y = [Double](repeating: 0, count: geometry.rows * units)
    var (gates, cells, before) = ([Double](repeating: 0, count: 4 * y.count), y, y)
    for b in 0..<geometry.batch {
      for (time, previous) in geometry.order {
        let row = b * steps + time
        var z = shift
        for f in 0..<features {
          let value = t[0][row * features + f]
          for c in z.indices { z[c] += value * t[1][f * 4 * units + c] }
        }
        if let previous {
          for k in 0..<units {
            let value = y[(b * steps + previous) * units + k]
            before[row * units + k] = value
            for c in z.indices { z[c] += value * t[2][k * 4 * units + c] }
          }
        }
        for k in 0..<units {
          let (i, f) = (sigmoid(z[k]), sigmoid(z[units + k]))
          let (g, o) = (tanh(z[2 * units + k]), sigmoid(z[3 * units + k]))
          let cell = f * (previous.map { cells[(b * steps + $0) * units + k] } ?? 0) + i * g
          for (part, value) in [i, f, g, o].enumerated() {
            gates[row * 4 * units + part * units + k] = value
          }
          cells[row * units + k] = cell
          y[row * units + k] = o * tanh(cell)
        }
      }
    }
    return [y, gates, cells, before]
  }

  // MARK: The gradient

  private static func pull(
    _ label: String, _ batch: Int, _ steps: Int, _ units: Int,
    _ upstream: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false
  ) -> OperationCase {
    let geometry = RecurrentGeometry(
      batch: batch, steps: steps, features: 1, units: units, isReversed: reversed)
    let (wide, narrow): (Shape, Shape) = ([batch, steps, 4 * units], [batch, steps, units])
    let spread = 1 / Float(units).squareRoot()
    return OperationCase(
      .lstm, label,
      inputs: [
        CaseInput(wide, .uniform(0, 1)), CaseInput(narrow),
        CaseInput([units, 4 * units], .uniform(-spread, spread)), CaseInput(narrow, upstream),
      ],
      tolerance: .transcendentalSum(of: 4 * units * steps),
      magnitude: .given { pulled($0, geometry, isMagnitude: true) },
      outputs: { (t) throws(TensorError) in
        try t.direct([wide, narrow]) { (backend, out) throws(DeviceError) in
          let states = LSTMStates(gates: t[0].value, cells: t[1].value, before: t[1].value)
          try backend.lstmGradient(
            states, recurrentWeight: t[2].value, upstream: t[3].value, geometry, into: out[0],
            hidden: out[1])
        }
      },
      oracles: { pulled($0, geometry, isMagnitude: false) })
  }

  /// dz and dh by the contract's formulas, or those of their terms' absolute values.
  private static func pulled(
    _ t: [[Double]], _ geometry: RecurrentGeometry, isMagnitude: Bool
  ) -> [[Double]] {
    func term(_ value: Double) -> Double { isMagnitude ? abs(value) : value }
    // In a magnitude, 1 - x has lost what its terms had.
    func rest(_ value: Double) -> Double { isMagnitude ? 1 : 1 - value }
    let (steps, units) = (geometry.steps, geometry.units)
    var (dz, dh) = (t[0], t[3].map(term))
    for b in 0..<geometry.batch {
      var carried = [Double](repeating: 0, count: units)
      var flow = [Double](repeating: 0, count: 4 * units)
      for (time, previous) in geometry.order.reversed() {
        let row = b * steps + time
        for k in 0..<units {
          for c in flow.indices { dh[row * units + k] += flow[c] * term(t[2][k * 4 * units + c]) }
        }
        for k in 0..<units {
          let start = row * 4 * units + k
          let (i, f) = (t[0][start], t[0][start + units])
          let (g, o) = (t[0][start + 2 * units], t[0][start + 3 * units])
          let (h, state) = (tanh(t[1][row * units + k]), dh[row * units + k])
          let dc = carried[k] + state * o * rest(h * h)
          let cell = previous.map { term(t[1][(b * steps + $0) * units + k]) } ?? 0
          flow[k] = dc * g * i * rest(i)
          flow[units + k] = dc * cell * f * rest(f)
          flow[2 * units + k] = dc * i * rest(g * g)
          flow[3 * units + k] = state * term(h) * o * rest(o)
          carried[k] = dc * f
        }
        for c in flow.indices { dz[row * 4 * units + c] = flow[c] }
      }
    }
    return [dz, dh]
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
