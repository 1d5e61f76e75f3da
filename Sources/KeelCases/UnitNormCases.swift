internal import KeelAutograd
internal import KeelBackend

/// Limits per unit: sizes on both sides of bands and vectors, norms beyond the range of squares.
enum UnitNormCases {
  static let all = clips + constraints + large

  private static let clips: [OperationCase] = [
    clip("clip_rows33_columns17", [33, 17]),
    clip("clip_rows1_columns5", [1, 5]),
    clip("clip_one_column", [70, 1]),
    clip("clip_vector", [40]),
    clip("clip_kernel3x3", [3, 3, 5, 20]),
    clip("clip_columns130", [9, 130]),
    clip("clip_rows1000", [1000, 9]),
    clip("clip_floor", [12, 8], weights: .repeating([0])),
    clip("clip_none", [33, 17], ratio: 1e6),
    clip("clip_huge", [33, 9], gradients: .repeating([1e20, -3e20, 1e19, 0, 2e20])),
    clip("clip_beyond_range", [50, 3], gradients: .repeating([3e38, -2e38])),
    clip("clip_huge_weights", [33, 9], weights: .repeating([1e25, 0, -1e25, 3])),
    clip(
      "clip_tiny", [33, 9], ratio: 1e-3, floor: 1e-24, weights: .repeating([1e-24, -2e-24]),
      gradients: .repeating([1e-24, 3e-24, -1e-24])),
    clip("clip_zero_gradient", [9, 9], gradients: .repeating([0])),
    clip("clip_nan", [33, 17], gradients: .sprinkled([.nan])),
    clip("clip_infinite", [5, 40], gradients: .sprinkled([1, .infinity, 1, 1, 1])),
    clip("clip_weights_nan", [5, 40], weights: .sprinkled([1, .nan, 1, 1])),
    clip("clip_refused", [33, 17], applies: 0),
    clip("clip_repaired", [33, 17], verdict: 4, factor: 1e-9),
  ]

  private static let constraints: [OperationCase] = [
    constrain("maximum_rows9_columns5", [9, 5], .maximumNorm(1)),
    constrain("maximum_some", [12, 40], .maximumNorm(4)),
    constrain("maximum_kernel", [3, 3, 4, 18], .maximumNorm(0.5)),
    constrain("maximum_huge", [40, 9], .maximumNorm(2), .repeating([1e25, -1e20, 3e38])),
    constrain("maximum_nan", [9, 30], .maximumNorm(2), .sprinkled([.nan])),
    constrain("maximum_within", [9, 30], .maximumNorm(100)),
    constrain("maximum_refused", [9, 30], .maximumNorm(1), applies: 0),
    constrain("unit_rows33_columns17", [33, 17], .unitNorm),
    constrain("unit_one_column", [300, 1], .unitNorm),
    constrain("unit_tiny", [33, 17], .unitNorm, .repeating([1e-24, -3e-25])),
    constrain("unit_huge", [33, 17], .unitNorm, .repeating([1e30, -3e29])),
    constrain("unit_zero", [9, 9], .unitNorm, .repeating([0])),
    constrain("sum_rows33_columns20", [33, 20], .unitSum, .uniform(0.01, 1)),
    constrain("sum_one_column", [300, 1], .unitSum, .uniform(0.01, 1)),
    constrain("sum_small", [33, 9], .unitSum, .uniform(1e-30, 3e-30)),
    constrain("sum_zero", [9, 9], .unitSum, .repeating([0])),
  ]

  private static let large: [OperationCase] = [
    clip("clip_rows4608_columns512", [4608, 512], isLarge: true),
    constrain("maximum_rows4608_columns512", [4608, 512], .maximumNorm(1), isLarge: true),
  ]

  private static func columns(_ shape: Shape) -> Int { shape.extents.last ?? 1 }

  /// The norms of the columns.
  private static func norms(_ x: [Double], _ columns: Int) -> [Double] {
    var squares = [Double](repeating: 0, count: columns)
    for i in x.indices { squares[i % columns] += x[i] * x[i] }
    return squares.map { $0.squareRoot() }
  }

  private static func clip(
    _ label: String, _ shape: Shape, ratio: Float = 0.1, floor: Float = 1e-3,
    weights: CaseInput.Fill = .uniform(-2, 2), gradients: CaseInput.Fill = .uniform(-2, 2),
    applies: Float = 1, verdict: Float = 0, factor: Float = 1, isLarge: Bool = false
  ) -> OperationCase {
    let (columns, rows) = (columns(shape), shape.count / columns(shape))
    return OperationCase(
      .unitNorm, label,
      inputs: [
        CaseInput(shape, gradients), CaseInput(shape, weights),
        GradientNoiseCases.decision([
          (.applies, applies), (.verdict, verdict), (.factor, factor), (.coefficient, 1),
        ]),
      ],
      tolerance: .sum(of: rows),
      work: isLarge ? .init(flops: 5 * shape.count, bytes: 12 * shape.count) : nil,
      outputs: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.clipUnits(
            t[0].value, weights: t[1].value, ratio: ratio, floor: floor, decision: t[2].value)
        }
        return [t[0], t[2]]
      },
      oracles: { t in
        guard applies != 0 else { return [t[0], t[2]] }
        let (lengths, slopes) = (norms(t[1], columns), norms(t[0], columns))
        let factors = zip(lengths, slopes).map { length, slope in
          let limit = Double(ratio) * (length < Double(floor) ? Double(floor) : length)
          return slope > limit ? limit / slope : 1
        }
        var decision = t[2]
        if let smallest = factors.min(), smallest < 1 {
          decision[DecisionField.factor.rawValue] = min(Double(factor), smallest)
          if verdict == 0 { decision[DecisionField.verdict.rawValue] = 1 }
        }
        return [t[0].indices.map { t[0][$0] * factors[$0 % columns] }, decision]
      })
  }

  private static func constrain(
    _ label: String, _ shape: Shape, _ constraint: UnitConstraint,
    _ fill: CaseInput.Fill = .uniform(-2, 2), applies: Float = 1, isLarge: Bool = false
  ) -> OperationCase {
    let (columns, rows) = (columns(shape), shape.count / columns(shape))
    return OperationCase(
      .unitNorm, label,
      inputs: [CaseInput(shape, fill), GradientNoiseCases.decision([(.applies, applies)])],
      tolerance: .sum(of: rows),
      work: isLarge ? .init(flops: 3 * shape.count, bytes: 8 * shape.count) : nil,
      run: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.constrainUnits(t[0].value, constraint, decision: t[1].value)
        }
        return t[0]
      },
      oracle: { t in
        guard applies != 0 else { return t[0] }
        let factors = factors(constraint, t[0], columns)
        return t[0].indices.map { t[0][$0] * factors[$0 % columns] }
      })
  }

  private static func factors(
    _ constraint: UnitConstraint, _ w: [Double], _ columns: Int
  ) -> [Double] {
    switch constraint {
    case .maximumNorm(let limit):
      return norms(w, columns).map { $0 > Double(limit) ? Double(limit) / $0 : 1 }
    case .unitNorm:
      return norms(w, columns).map { $0 == 0 ? 1 : 1 / $0 }
    case .unitSum:
      var sums = [Double](repeating: 0, count: columns)
      for i in w.indices { sums[i % columns] += w[i] }
      return sums.map { $0 == 0 ? 1 : 1 / $0 }
    }
  }
}
