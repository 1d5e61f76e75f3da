internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// The gated recurrent unit: the two operations straight on the contract, and whole layers.
enum GRUCases {
  static let all: [OperationCase] =
    [
      states("states_one_of_all", 1, 1, 1, 1),
      states("states_1x4x2_units5", 1, 4, 2, 5),
      states("states_3x4x5_units20", 3, 4, 5, 20),
      states("states_13x3x4_units33", 13, 3, 4, 33),
      states("states_129x2x3_units5", 129, 2, 3, 5),
      states("states_reversed_7x3x28_units128", 7, 3, 28, 128, reversed: true),
      states("states_without_bias_5x2x3_units7", 5, 2, 3, 7, hasBias: false),
      // Weights that are read once for several tiles of rows on CPU-class devices.
      states("states_15x2x2_units260", 15, 2, 2, 260),
      states("states_saturated", 7, 3, 4, 9, .repeating([-200, 90, 200, 0.5, -90])),
      states("states_nan", 7, 3, 4, 9, .sprinkled([.nan])),
      pull("gradient_one_of_all", 1, 1, 1),
      pull("gradient_1x4_units5", 1, 4, 5),
      pull("gradient_3x4_units20", 3, 4, 20),
      pull("gradient_13x3_units33", 13, 3, 33),
      pull("gradient_129x2_units5", 129, 2, 5),
      pull("gradient_reversed_7x3_units128", 7, 3, 128, reversed: true),
      pull("gradient_15x2_units260", 15, 2, 260),
      pull("gradient_nan", 7, 3, 9, .sprinkled([.nan])),
      sequence("sequence_3x5x4_units7", 3, 5, 4, 7),
      sequence("sequence_reversed", 2, 6, 3, 5, reversed: true),
      sequence("sequence_one_of_all", 1, 1, 1, 1),
      sequence("sequence_without_bias", 4, 3, 5, 32, hasBias: false),
      sequence("sequence_nan", 2, 3, 7, 5, .sprinkled([.nan]), gradient: false),
      sequence("sequence_64x64x256_units256", 64, 64, 256, 256, isLarge: true),
    ]

  // MARK: Forward

  private static func states(
    _ label: String, _ batch: Int, _ steps: Int, _ features: Int, _ units: Int,
    _ fill: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false, hasBias: Bool = true
  ) -> OperationCase {
    let sizes = SequenceSizes(
      batch: batch, steps: steps, features: features, units: units, gates: 3,
      isReversed: reversed)
    let geometry = sizes.geometry
    let (wide, narrow): (Shape, Shape) = ([batch, steps, 3 * units], [batch, steps, units])
    return OperationCase(
      .gru, label, inputs: sizes.inputs(fill, hasBias: hasBias),
      tolerance: .transcendentalSum(of: steps * (features + units)),
      // Gates and hidden states are at most 1, and so are the terms of products, nearly.
      magnitude: .given { opened($0, geometry).map { $0.map { max(1, abs($0)) } } },
      outputs: { (t) throws(TensorError) in
        try t.direct([narrow, wide, narrow, narrow]) { (backend, out) throws(DeviceError) in
          try backend.gru(
            t[0].value, inputWeight: t[1].value, recurrentWeight: t[2].value,
            bias: hasBias ? t[3].value : nil, geometry, into: out[0],
            states: GRUStates(gates: out[1], products: out[2], before: out[3]))
        }
      },
      oracles: { opened($0, geometry) })
  }

  /// Hidden states, gates, products and hidden states before by the contract's formulas.
  private static func opened(_ t: [[Double]], _ geometry: RecurrentGeometry) -> [[Double]] {
    let (steps, units, features) = (geometry.steps, geometry.units, geometry.features)
    let columns = 3 * units
    let shift = t.count > 3 ? t[3] : [Double](repeating: 0, count: columns)
    var y = [Double](repeating: 0, count: geometry.rows * units)
    var (gates, products, before) = ([Double](repeating: 0, count: 3 * y.count), y, y)
    for b in 0..<geometry.batch {
      for (time, previous) in geometry.order {
        let row = b * steps + time
        var (z, q) = (shift, [Double](repeating: 0, count: columns))
        for f in 0..<features {
          let value = t[0][row * features + f]
          for c in 0..<columns { z[c] += value * t[1][f * columns + c] }
        }
        if let previous {
          for k in 0..<units {
            let value = y[(b * steps + previous) * units + k]
            before[row * units + k] = value
            for c in 0..<columns { q[c] += value * t[2][k * columns + c] }
          }
        }
        for k in 0..<units {
          let (r, u) = (sigmoid(z[k] + q[k]), sigmoid(z[units + k] + q[units + k]))
          let n = tanh(z[2 * units + k] + r * q[2 * units + k])
          for (part, value) in [r, u, n].enumerated() {
            gates[row * columns + part * units + k] = value
          }
          products[row * units + k] = q[2 * units + k]
          y[row * units + k] = (1 - u) * n + u * before[row * units + k]
        }
      }
    }
    return [y, gates, products, before]
  }

  // MARK: The gradient

  private static func pull(
    _ label: String, _ batch: Int, _ steps: Int, _ units: Int,
    _ upstream: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false
  ) -> OperationCase {
    let geometry = RecurrentGeometry(
      batch: batch, steps: steps, features: 1, units: units, isReversed: reversed)
    let (wide, narrow): (Shape, Shape) = ([batch, steps, 3 * units], [batch, steps, units])
    let spread = 1 / Float(units).squareRoot()
    return OperationCase(
      .gru, label,
      inputs: [
        CaseInput(wide, .uniform(0, 1)), CaseInput(narrow), CaseInput(narrow),
        CaseInput([units, 3 * units], .uniform(-spread, spread)), CaseInput(narrow, upstream),
      ],
      tolerance: .transcendentalSum(of: 3 * units * steps),
      magnitude: .given { pulled($0, geometry, isMagnitude: true) },
      outputs: { (t) throws(TensorError) in
        try t.direct([wide, wide, narrow]) { (backend, out) throws(DeviceError) in
          let states = GRUStates(gates: t[0].value, products: t[1].value, before: t[2].value)
          try backend.gruGradient(
            states, recurrentWeight: t[3].value, upstream: t[4].value, geometry, into: out[0],
            products: out[1], hidden: out[2])
        }
      },
      oracles: { pulled($0, geometry, isMagnitude: false) })
  }

  /// dz, dq and dh by the contract's formulas, or those of their terms' absolute values.
  private static func pulled(
    _ t: [[Double]], _ geometry: RecurrentGeometry, isMagnitude: Bool
  ) -> [[Double]] {
    func term(_ value: Double) -> Double { isMagnitude ? abs(value) : value }
    // In a magnitude, 1 - x has lost what its terms had.
    func rest(_ value: Double) -> Double { isMagnitude ? 1 : 1 - value }
    let (steps, units) = (geometry.steps, geometry.units)
    let columns = 3 * units
    var (dz, dq, dh) = (t[0], t[0], t[4].map(term))
    for b in 0..<geometry.batch {
      var carried = [Double](repeating: 0, count: units)
      var flow = [Double](repeating: 0, count: columns)
      for (time, _) in geometry.order.reversed() {
        let row = b * steps + time
        for k in 0..<units {
          dh[row * units + k] += carried[k]
          for c in 0..<columns { dh[row * units + k] += flow[c] * term(t[3][k * columns + c]) }
        }
        for k in 0..<units {
          let (start, place) = (row * columns + k, row * units + k)
          let (r, u, n) = (t[0][start], t[0][start + units], t[0][start + 2 * units])
          let whole = dh[place]
          let dn = whole * rest(u) * rest(n * n)
          let gap = isMagnitude ? abs(t[2][place]) + abs(n) : t[2][place] - n
          flow[k] = dn * term(t[1][place]) * r * rest(r)
          flow[units + k] = whole * gap * u * rest(u)
          flow[2 * units + k] = dn * r
          dz[start + 2 * units] = dn
          carried[k] = whole * u
        }
        for c in 0..<columns {
          dq[row * columns + c] = flow[c]
          if c < 2 * units { dz[row * columns + c] = flow[c] }
        }
      }
    }
    return [dz, dq, dh]
  }

  // MARK: Sequences

  private static func sequence(
    _ label: String, _ batch: Int, _ steps: Int, _ features: Int, _ units: Int,
    _ fill: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false, hasBias: Bool = true,
    gradient: Bool = true, isLarge: Bool = false
  ) -> OperationCase {
    let sizes = SequenceSizes(
      batch: batch, steps: steps, features: features, units: units, gates: 3,
      isReversed: reversed)
    return OperationCase(
      .gru, label, inputs: sizes.inputs(fill, hasBias: hasBias),
      tolerance: .transcendentalSum(of: steps * (features + units)),
      magnitude: .given { [[Double](repeating: 1, count: $0[0].count / features * units)] },
      differentiable: gradient && !isLarge ? Array(0..<(hasBias ? 4 : 3)) : [],
      work: isLarge ? sizes.work : nil,
      run: { (t) throws(TensorError) in
        try t[0].gru(
          inputWeight: t[1], recurrentWeight: t[2], bias: hasBias ? t[3] : nil,
          reversed: reversed)
      },
      oracle: { t in
        sizes.run(t) { _, z, q, before in
          let (r, u) = (sigmoid(z[0] + q[0]), sigmoid(z[1] + q[1]))
          return (1 - u) * tanh(z[2] + r * q[2]) + u * before
        }
      })
  }
}
