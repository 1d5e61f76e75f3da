/// How far results lie from their oracle.
package struct Comparison: Sendable {
  /// The largest distance in units in the last place.
  package private(set) var worstULP = 0.0
  /// The largest error as a fraction of what the tolerance allows; at most 1 passes. Infinite
  /// where a result differs that must be exact.
  package private(set) var worstError = 0.0
  /// What is wrong, or nil.
  package private(set) var failure: String?

  package init() {}

  /// Compares one output.
  ///
  /// - Parameters:
  ///   - magnitudes: what each element's error is measured against.
  ///   - bound: in units of u times the magnitude.
  package mutating func add(
    _ name: String, got: [Float], expected: [Double], magnitudes: [Double], bound: Double
  ) {
    guard got.count == expected.count, magnitudes.count == expected.count else {
      fail("\(name) has \(got.count) elements, expected \(expected.count)")
      return
    }
    for place in got.indices {
      let (value, rounded) = (got[place], Float(expected[place]))
      guard value.isFinite, rounded.isFinite else {
        // Equal patterns of non-finite values; infinities with their sign.
        if !(value.isNaN && rounded.isNaN || value == rounded) {
          worstError = .infinity
          fail("\(name)[\(place)] is \(value), expected \(rounded)")
        }
        continue
      }
      let distance = Comparison.ulps(value, rounded)
      worstULP = max(worstULP, distance)
      if bound == 0 {
        // -0 and 0 are one number: which zero an empty sum gives is nobody's promise.
        if value != rounded {
          worstError = .infinity
          fail("\(name)[\(place)] is \(value), expected exactly \(rounded)")
        }
        continue
      }
      // Devices may flush numbers below the smallest normal one to zero.
      let error = max(0, abs(Double(value) - expected[place]) - Comparison.smallestNormal)
      let allowed = bound * Tolerance.unit * magnitudes[place]
      let fraction = error == 0 ? 0 : error / allowed
      if fraction > worstError { worstError = fraction }
      if !(fraction <= 1) {
        fail(
          "\(name)[\(place)] is \(value), expected \(rounded): \(Int(min(distance, 1e15))) ULP, "
            + "\(Comparison.short(fraction)) of the error allowed")
      }
    }
  }

  /// Notes a mistake; the first one is kept.
  package mutating func fail(_ sentence: String) {
    if failure == nil { failure = sentence }
  }

  package mutating func merge(_ other: Comparison) {
    worstULP = max(worstULP, other.worstULP)
    worstError = max(worstError, other.worstError)
    if let sentence = other.failure { fail(sentence) }
  }

  private static let smallestNormal = Double(Float.leastNormalMagnitude)

  /// How many float32 numbers lie between two.
  package static func ulps(_ left: Float, _ right: Float) -> Double {
    func position(_ value: Float) -> Int64 {
      let bits = Int64(value.bitPattern & 0x7FFF_FFFF)
      return value.sign == .minus ? -bits : bits
    }
    return Double(abs(position(left) - position(right)))
  }

  /// A number with three digits, for messages.
  package static func short(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    return abs(value) >= 100
      ? "\(Int(value.rounded()))" : "\((value * 100).rounded() / 100)"
  }
}
