/// Elementary functions made of additions, multiplications and divisions only.
///
/// IEEE 754 rounds these the same everywhere, while a C library's `sin` or `log` may differ in the
/// last bit from one machine to the next. Errors are a few units in the last place of a `Double`.
package enum RepeatableMath {
  /// Sine and cosine of an angle, exact at whole quarter turns.
  package static func sineAndCosine(degrees: Double) -> (sine: Double, cosine: Double) {
    let quarters = (degrees / 90).rounded()
    let x = (degrees - 90 * quarters) * (Double.pi / 180)
    // Taylor's series: |x| <= pi/4, so the first term left out is below 1e-17.
    let square = x * x
    let sine = x * alternatingSeries(square, from: 1)
    let cosine = alternatingSeries(square, from: 0)
    switch Int(quarters) & 3 {
    case 0: return (sine, cosine)
    case 1: return (cosine, -sine)
    case 2: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
  }

  /// 1 - x²/((n+1)(n+2)) + x⁴/((n+1)…(n+4)) - …, from the far end.
  private static func alternatingSeries(_ square: Double, from n: Double) -> Double {
    var sum = 1.0
    for k in stride(from: 16.0, through: 2, by: -2) {
      sum = 1 - square / ((n + k) * (n + k - 1)) * sum
    }
    return sum
  }

  /// The natural logarithm of a number that is finite and above 0.
  package static func logarithm(_ x: Double) -> Double {
    var (mantissa, exponent) = (x.significand, Double(x.exponent))
    if mantissa > 1.414_213_562_373_095_1 { (mantissa, exponent) = (mantissa / 2, exponent + 1) }
    // log m = 2 artanh((m - 1) / (m + 1)) with |t| < 0.172.
    let t = (mantissa - 1) / (mantissa + 1)
    var sum = 0.0
    for k in stride(from: 23.0, through: 1, by: -2) { sum = sum * (t * t) + 1 / k }
    return exponent * 0.693_147_180_559_945_3 + 2 * t * sum
  }

  /// e to a power; 0 and infinity beyond the ends of the range.
  package static func exponential(_ x: Double) -> Double {
    guard x > -745 else { return x.isNaN ? x : 0 }
    guard x < 709.7 else { return .infinity }
    let count = (x * 1.442_695_040_888_963_4).rounded()
    // ln 2 in two parts: the first has few bits, so that its multiples are exact.
    let rest = x - count * 0x1.62e42feep-1 - count * 1.908_214_929_270_587_7e-10
    var sum = 1.0
    for k in stride(from: 16.0, through: 1, by: -1) { sum = 1 + rest / k * sum }
    // Twice a half of the way: 2^count alone may lie outside the range.
    let half = (count / 2).rounded(.down)
    return sum * Double(sign: .plus, exponent: Int(half), significand: 1)
      * Double(sign: .plus, exponent: Int(count - half), significand: 1)
  }
}
