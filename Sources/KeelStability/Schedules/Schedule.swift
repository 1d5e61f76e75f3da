import Glibc

/// How the learning rate moves during training: a factor for the optimizer's own rate.
///
/// The factor is a pure function of how many updates were applied before (0 for the first one), so
/// a resumed run and one that skipped a step have the same rate for the same update. `n` below is
/// the number of the update, `updates + 1`; `T` the length of a schedule, after which its last
/// value stays.
///
/// ```swift
/// let schedule = Schedule.warmup(updates: 100, then: .cosine(updates: 1000))
/// let same = try Schedule(parsing: "warmup:100,cosine:1000")
/// let rate = 0.1 * schedule.factor(at: 50)
/// ```
///
/// Learning rates that follow a metric are ``PlateauReducer``'s. Options are checked where a
/// schedule meets a model, and by ``validate()``.
public indirect enum Schedule: Hashable, Sendable {
  /// Always 1.
  case constant
  /// `factor` to the power of floor(updates / every).
  case step(every: Int, factor: Double)
  /// `factor` to the power of how many of the numbers `at` (ascending) are <= updates.
  case multiStep(at: [Int], factor: Double)
  /// `factor` to the power of updates / `every`, without jumps.
  case exponential(factor: Double, every: Int = 1)
  /// end + (1 - end) * (1 - updates / T)^power.
  case polynomial(updates: Int, power: Double, end: Double = 0)
  /// From 1 to `end` in equal parts.
  case linear(updates: Int, end: Double = 0)
  /// end + (1 - end) * (1 + cos(pi * updates / T)) / 2. Loshchilov & Hutter, 2017.
  case cosine(updates: Int, end: Double = 0)
  /// The cosine again and again, each period `multiplier` times as long as the one before (SGDR,
  /// Loshchilov & Hutter, 2017). A period starts at 1; `end` is never quite reached.
  case cosineRestarts(period: Int, multiplier: Int = 1, end: Double = 0)
  /// Linear from `start` (not itself used) to the first factor of another schedule, reached at
  /// update number `updates`; then that schedule from its beginning. Goyal et al., 2017.
  case warmup(updates: Int, start: Double = 0, then: Schedule)
  /// Linear from 1 / startDivisor to 1 in the first 45 % of T, back in the next 45 %, and on to
  /// 1 / (startDivisor * endDivisor) in the last 10 % (Smith, 2018). Momentum, which Smith moves
  /// the other way, stays as it is; PyTorch's default has two phases, of cosines.
  case oneCycle(updates: Int, startDivisor: Double = 25, endDivisor: Double = 100)
  /// modelWidth^-0.5 * min(n^-0.5, n * warmup^-1.5), meant for a learning rate of 1 (Vaswani et
  /// al., 2017).
  case noam(modelWidth: Int, warmup: Int)
  /// min(n / warmup, sqrt(warmup / n)): Noam's form with a peak of 1.
  case inverseSquareRoot(warmup: Int)

  /// The factor for the update that follows after `updates` applied ones. Finite for every count.
  public func factor(at updates: UInt64) -> Double {
    switch self {
    case .constant: return 1
    case .step(let every, let factor): return pow(factor, Double(updates / length(every)))
    case .multiStep(let places, let factor):
      return pow(factor, Double(places.count { UInt64(clamping: $0) <= updates }))
    case .exponential(let factor, let every):
      return pow(factor, Double(updates) / Double(length(every)))
    case .polynomial(let count, let power, let end):
      return end + (1 - end) * pow(1 - part(updates, of: count), power)
    case .linear(let count, let end):
      let part = part(updates, of: count)
      return (1 - part) + end * part
    case .cosine(let count, let end): return cosine(part(updates, of: count), end)
    case .cosineRestarts(let period, let multiplier, let end):
      return cosine(partOfPeriod(updates, period, multiplier), end)
    case .warmup(let count, let start, let schedule):
      guard updates < length(count) else { return schedule.factor(at: updates - length(count)) }
      let part = (Double(updates) + 1) / Double(length(count))
      return ((1 - part) * start + part) * schedule.factor(at: 0)
    case .oneCycle(let count, let startDivisor, let endDivisor):
      return oneCycle(part(updates, of: count), startDivisor, endDivisor)
    case .noam(let width, let warmup):
      return inverseSquareRoot(updates, warmup)
        / (Double(length(width)) * Double(length(warmup))).squareRoot()
    case .inverseSquareRoot(let warmup): return inverseSquareRoot(updates, warmup)
    }
  }

  /// A count that can be divided by, even where nobody has validated it.
  private func length(_ count: Int) -> UInt64 { UInt64(clamping: max(count, 1)) }

  /// How much of `count` updates is over, 0 ... 1.
  private func part(_ updates: UInt64, of count: Int) -> Double {
    Double(min(updates, length(count))) / Double(length(count))
  }

  private func cosine(_ part: Double, _ end: Double) -> Double {
    let weight = (1 + cos(Double.pi * part)) / 2
    return weight + end * (1 - weight)
  }

  /// How much of the current period is over, when each is `multiplier` times the one before.
  private func partOfPeriod(_ updates: UInt64, _ first: Int, _ multiplier: Int) -> Double {
    var (rest, period) = (updates, length(first))
    if multiplier <= 1 { return Double(rest % period) / Double(period) }
    // At most 64 rounds: the period at least doubles in each.
    while rest >= period {
      rest -= period
      let (next, overflows) = period.multipliedReportingOverflow(by: length(multiplier))
      if overflows { return Double(rest) / (Double(period) * Double(multiplier)) }
      period = next
    }
    return Double(rest) / Double(period)
  }

  private func oneCycle(_ part: Double, _ startDivisor: Double, _ endDivisor: Double) -> Double {
    let start = 1 / startDivisor
    switch part {
    case ..<0.45: return start + (1 - start) * (part / 0.45)
    case ..<0.9: return start + (1 - start) * ((0.9 - part) / 0.45)
    default:
      let rest = (1 - part) / 0.1
      return start / endDivisor * (1 - rest) + start * rest
    }
  }

  private func inverseSquareRoot(_ updates: UInt64, _ warmup: Int) -> Double {
    let (number, warmup) = (Double(updates) + 1, Double(length(warmup)))
    return min(number / warmup, (warmup / number).squareRoot())
  }
}
