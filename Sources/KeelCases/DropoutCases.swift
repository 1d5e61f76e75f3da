internal import KeelAutograd
internal import KeelBackend

/// Dropout: the very mask that Philox gives.
enum DropoutCases {
  static let all: [OperationCase] = [
    check("rate_half", [33, 17], 0.5),
    check("rate_small", [1025], 0.1),
    check("rate_large", [129, 3], 0.9),
    check("rate_zero", [65], 0),
    check("one_element", [1], 0.5),
    check("images", [2, 5, 5, 7], 0.25),
    check("nan", [70], 0.5, .sprinkled([.nan, .infinity]), gradient: false),
    check("count_70001", [70001], 0.3, gradient: false),
    check("count_16777216", [1 << 24], 0.5, isLarge: true),
  ]

  private static func check(
    _ label: String, _ shape: Shape, _ rate: Float, _ fill: CaseInput.Fill = .uniform(-2, 2),
    gradient: Bool = true, isLarge: Bool = false
  ) -> OperationCase {
    let key = RandomKey(seed: 0x5EED_5EED_5EED, .dropout, index: 3, step: 41)
    return OperationCase(
      .dropout, label, inputs: [CaseInput(shape, fill)], tolerance: .exact,
      differentiable: gradient && !isLarge ? [0] : [],
      work: isLarge ? .init(bytes: 8 * shape.count) : nil,
      run: { (t) throws(TensorError) in try t[0].dropout(rate: rate, key: key) },
      oracle: { t in
        let threshold = Double(rate) * 0x1p32
        let scale = Double(1 / (1 - rate))
        let words = RandomCases.words(key, t[0].count)
        // One product, rounded once when it is compared.
        return t[0].indices.map { Double(words[$0]) >= threshold ? t[0][$0] * scale : 0 }
      })
  }
}
