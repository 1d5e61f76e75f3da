internal import Glibc
internal import KeelAutograd
package import KeelBackend

/// A 16-bit type by its definition: the truth that conversions are measured by.
package struct HalfFormat: Sendable {
  /// Significant bits, the leading one included.
  package let precision: Int
  /// The exponents of the smallest and the largest normal numbers.
  package let exponents: ClosedRange<Int>

  /// - Parameter dtype: float16 or bfloat16.
  package init(_ dtype: DType) {
    (precision, exponents) = dtype == .float16 ? (11, -14...15) : (8, -126...127)
  }

  /// The relative error of one rounding.
  package var unit: Double { exp2(Double(-precision)) }

  /// The number of the type that is nearest, the even one of two; infinite beyond the largest.
  package func rounded(_ x: Double) -> Double {
    guard x.isFinite, x != 0 else { return x }
    let exponent = max(Int(x.exponent), exponents.lowerBound)
    let step = exp2(Double(exponent - precision + 1))
    let result = (x / step).rounded(.toNearestOrEven) * step
    return abs(result) < exp2(Double(exponents.upperBound + 1)) ? result : x * .infinity
  }

  /// The number that 16 bits stand for: sign, exponent, fraction.
  package func number(_ bits: UInt16) -> Double {
    let fractionBits = precision - 1
    let fraction = Int(bits) & ((1 << fractionBits) - 1)
    let exponent = (Int(bits) & 0x7FFF) >> fractionBits
    let sign: Double = bits >= 0x8000 ? -1 : 1
    if exponent == (1 << (15 - fractionBits)) - 1 { return fraction == 0 ? sign * .infinity : .nan }
    let step = exp2(Double(max(exponent, 1) - 1 + exponents.lowerBound - fractionBits))
    return sign * Double((exponent == 0 ? 0 : 1 << fractionBits) + fraction) * step
  }
}

/// Changing the type of elements, one rounding at most.
enum ConvertCases {
  static let all: [OperationCase] =
    cases(.float16) + cases(.bfloat16)
    + [
      OperationCase(
        .convert, "float16_to_bfloat16", inputs: [[37]], tolerance: .exact,
        run: { (t) throws(TensorError) in try t[0].cast(to: .float16).cast(to: .bfloat16) },
        oracle: { t in
          t[0].map { HalfFormat(.bfloat16).rounded(HalfFormat(.float16).rounded($0)) }
        })
    ]

  private static let special: [Float] = [
    .nan, .infinity, -.infinity, 0, -0, .greatestFiniteMagnitude, 65504, 65519.99, 65520, 0x1p-14,
    0x1.ffcp-15, 0x1p-24, 0x1p-25, 0x1.000002p-25, -0x1.8p-25, 0x1.01p0, 0x1.03p0, 0x1.002p0,
    0x1.006p0, 0x1.fep127, 0x1.ffp127, -0x1p-126,
  ]

  private static func cases(_ dtype: DType) -> [OperationCase] {
    [
      check("to_\(dtype)", dtype, [7, 19]), check("to_\(dtype)_one", dtype, [1]),
      check("to_\(dtype)_numbers", dtype, CaseInput([66], .repeating(special))),
      check("to_\(dtype)_70001", dtype, [70001]), through(dtype),
      check("to_\(dtype)_16777216", dtype, CaseInput([1 << 24]), isLarge: true),
    ]
  }

  /// Numbers of the type pass unchanged; their gradient is rounded once.
  private static func through(_ dtype: DType) -> OperationCase {
    var input = CaseInput([13, 11])
    input.rounding = dtype
    return OperationCase(
      .convert, "through_\(dtype)", inputs: [input],
      tolerance: .stored(dtype, roundings: 1, .exact),
      differentiable: [0],
      run: { (t) throws(TensorError) in try t[0].cast(to: dtype) }, oracle: { t in t[0] })
  }

  private static func check(
    _ label: String, _ dtype: DType, _ input: CaseInput, isLarge: Bool = false
  ) -> OperationCase {
    let format = HalfFormat(dtype)
    return OperationCase(
      .convert, label, inputs: [input], tolerance: .exact,
      work: isLarge ? .init(bytes: 6 * input.shape.count) : nil,
      run: { (t) throws(TensorError) in try t[0].cast(to: dtype) },
      oracle: { t in t[0].map(format.rounded) })
  }
}
