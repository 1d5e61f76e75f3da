internal import KeelAutograd
internal import KeelBackend

/// Sums, means, extremes and variances over any axes.
enum ReductionCases {
  static let all = patterns + counts + special + variances + large

  private static func reduction(
    _ kind: ReductionKind, _ label: String, _ shape: Shape, _ axes: [Int]?, keep: Bool = false,
    fill: CaseInput.Fill? = nil, gradient: Bool = true, tolerance: Tolerance? = nil,
    isLarge: Bool = false
  ) -> OperationCase {
    let resolved = (axes ?? Array(0..<shape.rank)).map { $0 < 0 ? $0 + shape.rank : $0 }
    let terms = shape.count / max(1, shape.reducing(resolved, keepingAxes: false).count)
    let isExtreme = kind == .max || kind == .min
    // Extremes have a gradient only where no two elements tie.
    let fill = fill ?? (isExtreme ? .distinct : .uniform(-2, 2))
    return OperationCase(
      .reduction, "\(kind.rawValue)_\(label)", inputs: [CaseInput(shape, fill)],
      tolerance: tolerance ?? (isExtreme ? .exact : .sum(of: terms)),
      magnitude: isExtreme ? .element : .terms,
      differentiable: gradient && !isLarge ? [0] : [],
      work: isLarge ? .init(flops: shape.count, bytes: 4 * shape.count) : nil,
      run: { (t) throws(TensorError) in
        switch kind {
        case .sum: try t[0].sum(axes: axes, keepingAxes: keep)
        case .mean: try t[0].mean(axes: axes, keepingAxes: keep)
        case .max: try t[0].max(axes: axes, keepingAxes: keep)
        case .min: try t[0].min(axes: axes, keepingAxes: keep)
        }
      },
      oracle: { reduce(kind, $0[0], shape, resolved) })
  }

  /// Plain loops: the place of each element without its reduced axes.
  static func reduce(
    _ kind: ReductionKind, _ x: [Double], _ shape: Shape, _ axes: [Int]
  ) -> [Double] {
    let kept = shape.reducing(axes, keepingAxes: true)
    let places = Broadcast.places(of: kept, in: shape)
    var result = [Double](repeating: 0, count: kept.count)
    var seen = [Bool](repeating: false, count: kept.count)
    for i in x.indices {
      let place = places[i]
      let old = result[place]
      switch kind {
      case .sum, .mean: result[place] += x[i]
      case .max: result[place] = !seen[place] || x[i] > old || x[i].isNaN ? x[i] : old
      case .min: result[place] = !seen[place] || x[i] < old || x[i].isNaN ? x[i] : old
      }
      if kind != .sum, kind != .mean, old.isNaN { result[place] = .nan }
      seen[place] = true
    }
    if kind == .mean {
      for i in result.indices { result[i] /= Double(shape.count / kept.count) }
    }
    return result
  }

  private static let patterns: [OperationCase] = ReductionKind.allCases.flatMap { kind in
    [
      reduction(kind, "all_axes", [3, 4, 5, 6], nil),
      reduction(kind, "first_axis", [5, 37], [0]),
      reduction(kind, "last_axis", [37, 5], [1]),
      reduction(kind, "last_axis_negative", [11, 129], [-1]),
      reduction(kind, "middle_axis", [3, 17, 5], [1]),
      reduction(kind, "middle_axes", [3, 4, 5, 6], [1, 2]),
      reduction(kind, "first_and_last", [3, 4, 5], [0, 2]),
      reduction(kind, "alternating", [3, 4, 5, 6], [0, 2]),
      reduction(kind, "alternating_kept", [3, 4, 5, 6], [1, 3], keep: true),
      reduction(kind, "all_axes_kept", [3, 4, 5], nil, keep: true),
      reduction(kind, "axis_of_one", [5, 1, 3], [1]),
      reduction(kind, "global_pooling", [2, 7, 7, 19], [1, 2]),
      reduction(kind, "scalar", .scalar, nil),
    ]
  }

  private static let counts: [OperationCase] =
    [1, 7, 255, 257, 1025].map { reduction(.sum, "count\($0)", [$0], nil) } + [
      reduction(.sum, "count70001", [70001], nil, gradient: false),
      reduction(.sum, "rows2_columns70001", [2, 70001], [1], gradient: false),
      reduction(.sum, "rows70001_columns2", [70001, 2], [0], gradient: false),
      // On both sides of what one work-item sums alone.
      reduction(
        .sum, "rows4096_columns2", [4096, 2], [0], fill: .uniform(0, 1), gradient: false),
      reduction(
        .sum, "rows4097_columns2", [4097, 2], [0], fill: .uniform(0, 1), gradient: false),
      reduction(.sum, "rows513_columns129", [513, 129], [1], gradient: false),
      reduction(.sum, "columns129_rows513", [513, 129], [0], gradient: false),
      reduction(.mean, "positive70001", [70001], nil, fill: .uniform(1, 2), gradient: false),
      // Whole numbers below 2^24 have exact sums: each element is counted exactly once.
      reduction(
        .sum, "ones131101", [131101], nil, fill: .repeating([1]), gradient: false,
        tolerance: .exact),
      reduction(
        .sum, "ones_rows1031_columns67", [1031, 67], [0], fill: .repeating([1, 2, 3]),
        gradient: false, tolerance: .exact),
      reduction(
        .sum, "ones_rows67_columns1031", [67, 1031], [1], fill: .repeating([1, 2, 3]),
        gradient: false, tolerance: .exact),
      reduction(.max, "count70001", [70001], nil, gradient: false),
      reduction(.min, "rows3000_columns3", [3000, 3], [0], gradient: false),
    ]

  private static let special: [OperationCase] = [
    reduction(.max, "nan", [13, 7], [1], fill: .sprinkled([.nan]), gradient: false),
    reduction(.min, "nan", [13, 7], [0], fill: .sprinkled([.nan, 1]), gradient: false),
    reduction(.max, "nan_all", [4099], nil, fill: .sprinkled([1, 2, .nan]), gradient: false),
    reduction(
      .max, "infinite", [9, 14], [1], fill: .sprinkled([.infinity, -.infinity]), gradient: false),
    reduction(
      .max, "all_minus_infinity", [40], nil, fill: .repeating([-.infinity]),
      gradient: false),
    reduction(.min, "all_infinity", [40], nil, fill: .repeating([.infinity]), gradient: false),
    reduction(.max, "negative", [300], nil, fill: .uniform(-9, -1), gradient: false),
    reduction(.sum, "nan", [21, 14], [1], fill: .sprinkled([.nan, 1, 1]), gradient: false),
    reduction(.sum, "infinite", [21, 14], [1], fill: .sprinkled([.infinity, 1]), gradient: false),
    reduction(
      .sum, "infinities_of_both_signs", [64], nil, fill: .sprinkled([.infinity, -.infinity]),
      gradient: false),
    reduction(.sum, "cancelling", [1000], nil, fill: .repeating([1e6, -1e6, 1]), gradient: false),
    reduction(.mean, "tiny", [100], nil, fill: .uniform(1e-30, 2e-30), gradient: false),
  ]

  private static func variance(
    _ label: String, _ shape: Shape, _ axes: [Int]?, unbiased: Bool = false, keep: Bool = false,
    fill: CaseInput.Fill = .uniform(-2, 2), gradient: Bool = true
  ) -> OperationCase {
    let resolved = (axes ?? Array(0..<shape.rank)).map { $0 < 0 ? $0 + shape.rank : $0 }
    let terms = shape.count / max(1, shape.reducing(resolved, keepingAxes: false).count)
    let places = Broadcast.places(of: shape.reducing(resolved, keepingAxes: true), in: shape)
    let oracle: @Sendable ([[Double]]) -> [Double] = { inputs in
      let means = reduce(.mean, inputs[0], shape, resolved)
      var squares = inputs[0]
      for i in squares.indices {
        let difference = squares[i] - means[places[i]]
        squares[i] = difference * difference
      }
      let sums = reduce(.sum, squares, shape, resolved)
      return sums.map { $0 / Double(unbiased ? terms - 1 : terms) }
    }
    return OperationCase(
      .reduction, "variance_\(label)", inputs: [CaseInput(shape, fill)],
      tolerance: .sum(of: terms),
      // The mean's own rounding error moves every difference: |mean| * deviation.
      magnitude: .given { inputs in
        let means = reduce(.mean, inputs[0], shape, resolved)
        let variances = oracle(inputs)
        return [
          variances.indices.map { variances[$0] + abs(means[$0]) * variances[$0].squareRoot() }
        ]
      },
      differentiable: gradient ? [0] : [],
      run: { (t) throws(TensorError) in
        try t[0].variance(axes: axes, keepingAxes: keep, unbiased: unbiased)
      },
      oracle: oracle)
  }

  private static let variances: [OperationCase] = [
    variance("all_axes", [3, 4, 5], nil),
    variance("last_axis", [9, 33], [-1]),
    variance("first_axis_unbiased", [33, 9], [0], unbiased: true),
    variance("channels_kept", [2, 5, 5, 7], [0, 1, 2], keep: true),
    variance("large_mean", [257], nil, fill: .uniform(999, 1001), gradient: false),
    variance("constant", [129], nil, fill: .repeating([3.5]), gradient: false),
  ]

  private static let large: [OperationCase] = [
    reduction(.sum, "all_axes", [4096, 4096], nil, isLarge: true),
    reduction(.sum, "last_axis", [4096, 4096], [1], fill: .uniform(-2, 2), isLarge: true),
    reduction(.sum, "first_axis", [4096, 4096], [0], isLarge: true),
    reduction(.max, "last_axis", [4096, 4096], [1], fill: .uniform(-2, 2), isLarge: true),
  ]
}
