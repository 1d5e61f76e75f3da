internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Cross-entropy of softmax against labels.
enum SoftmaxCrossEntropyCases {
  static let all: [OperationCase] = [
    perExample("per_example", rows: 17, columns: 10),
    perExample("per_example_smoothing", rows: 17, columns: 10, smoothing: 0.1),
    perExample("per_example_rows1025_columns3", rows: 1025, columns: 3, gradient: false),
    perExample("per_example_columns1000", rows: 5, columns: 1000, gradient: false),
    perExample("per_example_one_column", rows: 5, columns: 1),
    perExample("per_example_one_row", rows: 1, columns: 33),
    perExample(
      "per_example_large_logits", rows: 9, columns: 11, logits: .uniform(-900, 900),
      gradient: false),
    perExample(
      "per_example_huge_logits", rows: 9, columns: 5, logits: .sprinkled([1e30, -1e30]),
      gradient: false),
    perExample(
      "per_example_label_outside", rows: 6, columns: 4,
      labels: .integers([0, -1, 3, 4, 2, 1_000_000]), gradient: false),
    perExample(
      "per_example_label_outside_smoothing", rows: 6, columns: 4,
      labels: .integers([0, -1, 3, 4, 2, 1_000_000]), smoothing: 0.2, gradient: false),
    perExample(
      "per_example_nan", rows: 8, columns: 6, logits: .sprinkled([.nan, 1, 1, 1]),
      gradient: false),
    mean("mean", rows: 33, columns: 10),
    mean("mean_smoothing", rows: 33, columns: 10, smoothing: 0.2),
    mean("mean_one_row", rows: 1, columns: 7),
    mean("mean_rows513", rows: 513, columns: 4, gradient: false),
    mean("mean_rows128_columns10", rows: 128, columns: 10, gradient: false),
    mean("mean_rows512_columns10", rows: 512, columns: 10),
    mean("mean_rows820_columns10", rows: 820, columns: 10, gradient: false),
    mean("mean_one_row_columns9000", rows: 1, columns: 9000, gradient: false),
    right("right", rows: 17, columns: 10),
    right("right_ties", rows: 16, columns: 4, logits: .repeating([1, 3, 3, 2])),
    right("right_columns33", rows: 40, columns: 33, logits: places),
    right("right_columns96", rows: 40, columns: 96, logits: places),
    right("right_columns1000", rows: 21, columns: 1000, logits: places),
    right("right_columns1001", rows: 21, columns: 1001, logits: places),
    right("right_one_column", rows: 5, columns: 1),
    right("right_rows512_columns10", rows: 512, columns: 10, logits: places),
    right("right_rows820_columns10", rows: 820, columns: 10, logits: places),
    right("right_nan", rows: 24, columns: 6, logits: .sprinkled([.nan, 2, 1, 1])),
    right("right_infinite", rows: 24, columns: 6, logits: .sprinkled([.infinity, -.infinity])),
    right(
      "right_all_infinite", rows: 12, columns: 4,
      logits: .repeating([-.infinity, -.infinity, -.infinity, -.infinity])),
    right(
      "right_label_outside", rows: 12, columns: 4, logits: .repeating([1, 3, 0, 2]),
      labels: .integers([0, -1, 1, 4, 2, 1_000_000])),
    gradientAlone("gradient", rows: 65, columns: 10, labels: .labels(10)),
    gradientAlone("gradient_of_mean", rows: 65, columns: 10, labels: .labels(10), isMean: true),
    gradientAlone(
      "gradient_label_outside", rows: 7, columns: 4, labels: .integers([0, 7, 1, -3, 2])),
    gradientAlone("gradient_columns1000", rows: 9, columns: 1000, labels: .labels(1000)),
    OperationCase(
      .softmaxCrossEntropy, "mean_rows8192_columns1000",
      inputs: [[8192, 1000], CaseInput([8192], .labels(1000))],
      tolerance: .transcendentalSum(of: 1000),
      work: .init(flops: 5 * 8_192_000, bytes: 4 * 8_192_000),
      run: { (t) throws(TensorError) in try t[0].softmaxCrossEntropy(labels: t[1]) },
      oracle: { t in [average(losses(t, 1000, 0).values)] }),
  ]

  /// log of the sum of exponentials of one row, from its maximum.
  private static func logSum(_ row: ArraySlice<Double>) -> (sum: Double, largest: Double) {
    var largest = -Double.infinity
    for value in row where value > largest || value.isNaN { largest = value }
    var sum = 0.0
    for value in row { sum += exp(value - largest) }
    return (largest + log(sum), largest)
  }

  private static func losses(
    _ t: [[Double]], _ columns: Int, _ smoothing: Float
  ) -> (values: [Double], magnitudes: [Double]) {
    let s = Double(smoothing)
    var (values, magnitudes): ([Double], [Double]) = ([], [])
    for (r, label) in t[1].enumerated() {
      let row = t[0][(r * columns)..<((r + 1) * columns)]
      let (sum, largest) = logSum(row)
      var (loss, magnitude) = (sum, abs(sum) + abs(largest) + 1)
      for (c, x) in row.enumerated() {
        let target = (Double(c) == label ? 1 - s : 0) + s / Double(columns)
        // 0 * infinity is nothing here: a class without weight is not in the sum.
        guard target != 0 else { continue }
        loss -= target * x
        magnitude += target * abs(x)
      }
      values.append(label >= 0 && label < Double(columns) ? loss : .nan)
      magnitudes.append(magnitude)
    }
    return (values, magnitudes)
  }

  private static func average(_ values: [Double]) -> Double {
    var sum = 0.0
    for value in values { sum += value }
    return sum / Double(values.count)
  }

  private static func perExample(
    _ label: String, rows: Int, columns: Int, logits: CaseInput.Fill = .uniform(-4, 4),
    labels: CaseInput.Fill? = nil, smoothing: Float = 0, gradient: Bool = true
  ) -> OperationCase {
    OperationCase(
      .softmaxCrossEntropy, label,
      inputs: [
        CaseInput([rows, columns], logits), CaseInput([rows], labels ?? .labels(columns)),
      ],
      tolerance: .transcendentalSum(of: columns),
      magnitude: .given { [losses($0, columns, smoothing).magnitudes] },
      differentiable: gradient ? [0] : [],
      run: { (t) throws(TensorError) in
        try t[0].softmaxCrossEntropyPerExample(labels: t[1], smoothing: smoothing)
      },
      oracle: { losses($0, columns, smoothing).values })
  }

  private static func mean(
    _ label: String, rows: Int, columns: Int, smoothing: Float = 0, gradient: Bool = true
  ) -> OperationCase {
    OperationCase(
      .softmaxCrossEntropy, label,
      inputs: [CaseInput([rows, columns], .uniform(-4, 4)), CaseInput([rows], .labels(columns))],
      tolerance: .transcendentalSum(of: columns + rows),
      magnitude: .given { [[average(losses($0, columns, smoothing).magnitudes)]] },
      differentiable: gradient ? [0] : [],
      run: { (t) throws(TensorError) in
        try t[0].softmaxCrossEntropy(labels: t[1], smoothing: smoothing)
      },
      oracle: { [average(losses($0, columns, smoothing).values)] })
  }

  /// Largest elements at places that change from row to row, equal ones behind them.
  private static let places = CaseInput.Fill.repeating([0.5, -1, 3, 2, -4, 1, 0])

  /// Which rows are right, and how many, straight on the contract.
  private static func right(
    _ label: String, rows: Int, columns: Int, logits: CaseInput.Fill = .uniform(-4, 4),
    labels: CaseInput.Fill? = nil
  ) -> OperationCase {
    let first = CaseInput.Fill.integers((0..<Int32(min(columns, 4))).map { $0 })
    return OperationCase(
      .softmaxCrossEntropy, label,
      inputs: [CaseInput([rows, columns], logits), CaseInput([rows], labels ?? first)],
      tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        try t.direct([[rows], [1]]) { (backend, out) throws(DeviceError) in
          let losses = try backend.allocate([rows], .float32)
          let mean = try backend.allocate([1], .float32)
          let logSums = try backend.allocate([rows], .float32)
          try backend.softmaxCrossEntropy(
            t[0].value, labels: t[1].value, smoothing: 0, into: losses, logSums: logSums,
            right: out[0])
          try backend.softmaxCrossEntropyMean(
            t[0].value, labels: t[1].value, smoothing: 0, into: mean, logSums: logSums,
            right: out[1])
        }
      },
      oracles: { t in
        let answers = (0..<rows).map { r -> Double in
          let row = Array(t[0][(r * columns)..<((r + 1) * columns)])
          guard !row.contains(where: \.isNaN), let largest = row.max() else { return 0 }
          return row.firstIndex(of: largest).map(Double.init) == t[1][r] ? 1 : 0
        }
        return [answers, [answers.reduce(0, +)]]
      })
  }

  /// The gradient straight on the contract: x, labels, dlosses.
  private static func gradientAlone(
    _ label: String, rows: Int, columns: Int, labels: CaseInput.Fill, isMean: Bool = false
  ) -> OperationCase {
    let smoothing: Float = 0.1
    let s = Double(smoothing)
    let pull: @Sendable ([[Double]], Double) -> [[Double]] = { t, sign in
      var dx = t[0]
      for r in 0..<rows {
        let row = t[0][(r * columns)..<((r + 1) * columns)]
        let sum = logSum(row).sum
        let isInside = t[1][r] >= 0 && t[1][r] < Double(columns)
        for (c, x) in row.enumerated() {
          let target = (Double(c) == t[1][r] ? 1 - s : 0) + s / Double(columns)
          // The exponent's own rounding: |x| + |sum|.
          let probability = exp(x - sum) * (sign < 0 ? 1 + abs(x) + abs(sum) : 1)
          let upstream = isMean ? t[2][0] / Double(rows) : t[2][r]
          let value = upstream * (probability - sign * target)
          dx[r * columns + c] = isInside ? value : .nan
        }
      }
      return [sign < 0 ? dx.map(abs) : dx]
    }
    return OperationCase(
      .softmaxCrossEntropy, label,
      inputs: [
        CaseInput([rows, columns], .uniform(-4, 4)), CaseInput([rows], labels),
        [isMean ? 1 : rows],
      ],
      tolerance: .transcendentalSum(of: columns), magnitude: .given { pull($0, -1) },
      outputs: { (t) throws(TensorError) in
        try t.direct([[rows, columns]]) { (backend, out) throws(DeviceError) in
          let losses = try backend.allocate([rows], .float32)
          let logSums = try backend.allocate([rows], .float32)
          try backend.softmaxCrossEntropy(
            t[0].value, labels: t[1].value, smoothing: smoothing, into: losses, logSums: logSums,
            right: nil)
          try backend.softmaxCrossEntropyGradient(
            t[0].value, labels: t[1].value, smoothing: smoothing, logSums: logSums,
            upstream: t[2].value, into: out[0])
        }
      },
      oracles: { pull($0, 1) })
  }
}
