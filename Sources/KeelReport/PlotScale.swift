import Glibc
import KeelBackend

/// An axis: which values it shows, and where its ticks are.
struct PlotScale {
  let low: Double
  let high: Double
  let ticks: [Double]
  private let decimals: Int
  private let isLogarithmic: Bool

  /// A scale over values, from 0 or just below the smallest to a round number above the largest.
  ///
  /// - Parameters:
  ///   - bounds: values that the scale must not leave, such as 0 ... 1 for parts.
  init(_ values: [Double], bounds: ClosedRange<Double>, wholeNumbers: Bool = false) {
    isLogarithmic = false
    let finite = values.filter(\.isFinite)
    let (least, most) = (finite.min() ?? 0, finite.max() ?? 1)
    let room = max(most - least, 1e-9)
    let step = PlotScale.roundStep(room / 4, wholeNumbers: wholeNumbers)
    var low = (least / step).rounded(.down) * step
    var high = (most / step).rounded(.up) * step
    if high <= low { high = low + step }
    low = max(low, bounds.lowerBound)
    high = min(high, bounds.upperBound)
    if high <= low { (low, high) = (bounds.lowerBound, bounds.lowerBound + step) }
    (self.low, self.high) = (low, high)
    let count = min(40, Int(((high - low) / step + 1e-6).rounded(.down)))
    let end = high + 1e-6 * step
    ticks = (0...max(count, 1)).map { low + Double($0) * step }.filter { $0 <= end }
    var decimals = 0
    var rest = step
    while decimals < 8, (rest - rest.rounded()).magnitude > 1e-6 * max(rest, 1) {
      rest *= 10
      decimals += 1
    }
    self.decimals = decimals
  }

  /// A logarithmic scale over values above 0, with ticks at powers of ten.
  init(logarithmic values: [Double]) {
    isLogarithmic = true
    let logs = values.filter { $0 > 0 && $0.isFinite }.map { log10($0) }
    var (first, last) = (logs.min() ?? 0, logs.max() ?? 1)
    // A single value goes into the middle.
    if last - first < 1e-6 { (first, last) = (first - 0.5, last + 0.5) }
    let least = first.rounded(.down)
    let most = max(last.rounded(.up), least + 1)
    (low, high) = (pow(10, least), pow(10, most))
    let stride = max(1, ((most - least) / 6).rounded(.up))
    ticks = Swift.stride(from: least, through: most, by: stride).map { pow(10, $0) }
    decimals = 0
  }

  /// 1, 2 or 5 times a power of ten, at least `least`.
  private static func roundStep(_ least: Double, wholeNumbers: Bool) -> Double {
    var power = 1.0
    while power > least { power /= 10 }
    while power * 10 <= least { power *= 10 }
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= least * (1 - 1e-9) } ?? power
    return wholeNumbers ? max(1, step) : step
  }

  /// Where a value is: 0 at the low end, 1 at the high one.
  func place(_ value: Double) -> Double {
    guard isLogarithmic else { return (value - low) / (high - low) }
    return log10(value / low) / log10(high / low)
  }

  /// The text of a tick.
  func label(_ tick: Double) -> String {
    guard isLogarithmic || tick.magnitude >= 1e5 else { return tick.fixed(decimals) }
    var text = tick.compact()
    guard text.contains("."), !text.contains("e") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    return text.hasSuffix(".") ? String(text.dropLast()) : text
  }
}
