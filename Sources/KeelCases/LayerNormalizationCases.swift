internal import KeelAutograd
internal import KeelBackend

/// Normalisation of rows.
enum LayerNormalizationCases {
  static let all: [OperationCase] = [
    check("rows7_columns33", [7, 33]),
    check("rows33_columns7", [33, 7]),
    check("rank3", [2, 5, 16]),
    check("one_row", [1, 129]),
    // Two columns become -1 and 1 whatever they are: nearly all of the gradient cancels.
    check("two_columns", [9, 2], condition: 32),
    check("columns1000", [3, 1000], gradient: false),
    check("rows1025_columns5", [1025, 5], gradient: false),
    check("large_mean", [5, 257], .uniform(999, 1001), gradient: false),
    check("constant_rows", [5, 17], .repeating([3]), gradient: false),
    check("nan", [8, 9], .sprinkled([.nan, 1, 1, 1]), gradient: false),
    check("rows4096_columns1024", [4096, 1024], isLarge: true),
  ]

  private static let epsilon: Float = 1e-5

  private static func normalize(
    _ t: [[Double]], _ columns: Int, magnitude: Bool
  ) -> [Double] {
    var y = t[0]
    for start in stride(from: 0, to: y.count, by: columns) {
      var (mean, variance) = (0.0, 0.0)
      for c in 0..<columns { mean += t[0][start + c] / Double(columns) }
      for c in 0..<columns {
        let difference = t[0][start + c] - mean
        variance += difference * difference / Double(columns)
      }
      let inverse = 1 / (variance + Double(epsilon)).squareRoot()
      for c in 0..<columns {
        let x = t[0][start + c]
        y[start + c] =
          magnitude
          ? (abs(x) + abs(mean)) * inverse * abs(t[1][c]) + abs(t[2][c])
          : (x - mean) * inverse * t[1][c] + t[2][c]
      }
    }
    return y
  }

  private static func check(
    _ label: String, _ shape: Shape, _ fill: CaseInput.Fill = .uniform(-2, 2),
    gradient: Bool = true, condition: Double = 1, isLarge: Bool = false
  ) -> OperationCase {
    let columns = shape[shape.rank - 1]
    return OperationCase(
      .layerNormalization, label,
      inputs: [CaseInput(shape, fill), CaseInput([columns], .uniform(0.5, 1.5)), [columns]],
      tolerance: .sum(of: columns),
      magnitude: .given { [normalize($0, columns, magnitude: true)] },
      differentiable: gradient && !isLarge ? [0, 1, 2] : [], condition: condition,
      work: isLarge ? .init(flops: 8 * shape.count, bytes: 8 * shape.count) : nil,
      run: { (t) throws(TensorError) in
        try t[0].layerNormalization(gamma: t[1], beta: t[2], epsilon: epsilon)
      },
      oracle: { normalize($0, columns, magnitude: false) })
  }
}
