internal import KeelAutograd
internal import KeelBackend

/// The norm of all gradients and the coefficient that clips it.
enum GlobalNormClipCases {
  static let all: [OperationCase] =
    [1, 7, 128, 1000, 4097, 70001].map { check("count\($0)", $0) } + [
      check("limit_none", 1000, limit: nil),
      check("limit_above", 1000, limit: 1e4),
      check("all_zero", 257, fill: .repeating([0])),
      check("huge", 70001, fill: .repeating([1e20, -1e20])),
      check("tiny", 70001, fill: .repeating([1e-24])),
      check("tiny_clipped", 128, limit: 1e-24, fill: .repeating([1e-24, -2e-24])),
      check("smallest", 7, fill: .repeating([2e-38])),
      check("huge_among_tiny", 300, fill: .repeating([1e-24, 1e-24, 1e20, 0, 1])),
      check("nan", 1025, fill: .sprinkled([1, .nan, 2, 3])),
      check("infinite", 1025, fill: .sprinkled([1, 2, .infinity, 3])),
      check("nan_and_infinite", 515, fill: .sprinkled([.nan, .infinity])),
      coefficient("coefficient_at_limit", [3, 4], limit: 5),
      coefficient("coefficient_below_limit", [3, 4], limit: 5.000_001),
      coefficient("coefficient_limit_none", [3e20, 4e20], limit: nil),
      coefficient("coefficient_half", [6, 8], limit: 5),
      check("parameters_11700000", 11_700_224, isLarge: true),
      check("parameters_25100000", 25_100_032, isLarge: true),
    ]

  /// The norm from the largest element, so that no square overflows in any precision.
  private static func norm(_ g: [Double]) -> Double {
    var sum = 0.0
    for value in g { sum += value * value }
    return sum.squareRoot()
  }

  private static func summary(_ g: [Double], _ limit: Float?) -> [Double] {
    let norm = norm(g)
    guard let limit, norm > Double(limit) else { return [norm, 1] }
    return [norm, Double(limit) / norm]
  }

  private static func check(
    _ label: String, _ count: Int, limit: Float? = 1,
    fill: CaseInput.Fill = .uniform(-2, 2), isLarge: Bool = false
  ) -> OperationCase {
    OperationCase(
      .globalNormClip, label, inputs: [CaseInput([count], fill)], tolerance: .sum(of: count),
      work: isLarge ? .init(flops: 2 * count, bytes: 4 * count) : nil,
      outputs: { (t) throws(TensorError) in
        try t.direct([[2]]) { (backend, out) throws(DeviceError) in
          try backend.globalNormClip(t[0].value, limit: limit, into: out[0])
        }
      },
      oracles: { [summary($0[0], limit)] })
  }

  /// The coefficient alone, bit for bit: nothing is scaled that is not above the limit.
  private static func coefficient(
    _ label: String, _ numbers: [Float], limit: Float?
  ) -> OperationCase {
    OperationCase(
      .globalNormClip, label, inputs: [CaseInput([numbers.count], .repeating(numbers))],
      tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        let summary = try t.direct([[2]]) { (backend, out) throws(DeviceError) in
          try backend.globalNormClip(t[0].value, limit: limit, into: out[0])
        }
        return [try summary[0].sliced([1..<2])]
      },
      oracles: { [[summary($0[0], limit)[1]]] })
  }
}
