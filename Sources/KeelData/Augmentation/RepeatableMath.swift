/// Elementary functions made of additions, multiplications and divisions only.
///
/// IEEE 754 rounds these the same everywhere, while a C library's `sin` or `log` may differ in the
/// last bit from one machine to the next. Errors are a few units in the last place of a `Double`.
package enum RepeatableMath {
  /// Sine and cosine of an angle, exact at whole quarter turns.
  package static func sineAndCosine(degrees: Double) -> (sine: Double, cosine: Double) {
    let quarters = (degrees / 90).rounded()
    let x = (degrees - 90 * quarters) * (Double.pi / 180)
    let square = x * x
    let sine = x * polynomial(square, sineTerms)
    let cosine = polynomial(square, cosineTerms)
    switch Int(quarters) & 3 {
    case 0: return (sine, cosine)
    case 1: return (cosine, -sine)
    case 2: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
  }

  /// The natural logarithm of a number that is finite and above 0.
  package static func logarithm(_ x: Double) -> Double {
    var (mantissa, exponent) = (x.significand, Double(x.exponent))
    if mantissa > 1.414_213_562_373_095_1 { (mantissa, exponent) = (mantissa / 2, exponent + 1) }
    // log m = 2 artanh((m - 1) / (m + 1)) with |t| < 0.172.
    let t = (mantissa - 1) / (mantissa + 1)
    let sum = polynomial(t * t, artanhTerms)
    return exponent * 0.693_147_180_559_945_3 + 2 * t * sum
  }

  /// e to a power; 0 and infinity beyond the ends of the range.
  package static func exponential(_ x: Double) -> Double {
    guard x > -745 else { return x.isNaN ? x : 0 }
    guard x < 709.7 else { return .infinity }
    let count = (x * 1.442_695_040_888_963_4).rounded()
    // ln 2 in two parts: the first has few bits, so that its multiples are exact.
    let rest = x - count * 0x1.62e42feep-1 - count * 1.908_214_929_270_587_7e-10
    let sum = polynomial(rest, exponentialTerms)
    // Twice a half of the way: 2^count alone may lie outside the range.
    let half = (count / 2).rounded(.down)
    return sum * Double(sign: .plus, exponent: Int(half), significand: 1)
      * Double(sign: .plus, exponent: Int(count - half), significand: 1)
  }

  /// A polynomial by Horner's rule, the highest coefficient first.
  @inline(__always)
  private static func polynomial(_ x: Double, _ coefficients: [Double]) -> Double {
    var sum = 0.0
    for coefficient in coefficients { sum = sum * x + coefficient }
    return sum
  }

  // Taylor's series, cut where the first term left out is below 1e-16 of the sum.

  /// sin(x) / x in x², |x| <= pi/4.
  private static let sineTerms: [Double] = [
    -1 / 1_307_674_368_000, 1 / 6_227_020_800, -1 / 39_916_800, 1 / 362_880, -1 / 5040, 1 / 120,
    -1 / 6, 1,
  ]

  /// cos(x) in x², |x| <= pi/4.
  private static let cosineTerms: [Double] = [
    1 / 20_922_789_888_000, -1 / 87_178_291_200, 1 / 479_001_600, -1 / 3_628_800, 1 / 40_320,
    -1 / 720, 1 / 24, -1 / 2, 1,
  ]

  /// artanh(t) / t in t², |t| < 0.172.
  private static let artanhTerms: [Double] = [
    1 / 21, 1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1,
  ]

  /// e to the x, |x| <= ln(2) / 2.
  private static let exponentialTerms: [Double] = [
    1 / 87_178_291_200, 1 / 6_227_020_800, 1 / 479_001_600, 1 / 39_916_800, 1 / 3_628_800,
    1 / 362_880, 1 / 40_320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1,
  ]
}
