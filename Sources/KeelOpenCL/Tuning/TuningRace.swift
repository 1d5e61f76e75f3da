/// Which candidate of a shape wins, by times that are taken one after the other.
///
/// Two medians less than ``TuningComparison/leastGain`` apart count as equal, and of equal
/// candidates the one that was met first stays: the planning function's choice before those that
/// are tried, in their order. What a database remembers was clearly faster before, and stays while
/// it is not slower. So tuning again finds the same, unless something is clearly faster.
package struct TuningRace {
  package typealias Runner = (plan: TunedPlan, times: TuningComparison)

  /// Nil while the planning function's choice leads.
  package private(set) var leader: Runner?
  /// What a database remembers, if it is no slower than the planning function's choice.
  package private(set) var remembered: Runner?
  /// Of the planning function's choice, as they were taken beside the first candidate; nil before.
  package private(set) var standard: TuningComparison?

  package init() {}

  /// Before all others.
  package mutating func enterRemembered(_ plan: TunedPlan, _ times: TuningComparison) {
    standard = times.unchanged
    guard times.ratio < 1 else { return }
    remembered = (plan, times)
    leader = remembered
  }

  package mutating func enter(_ plan: TunedPlan, _ times: TuningComparison) {
    if standard == nil { standard = times.unchanged }
    if times.ratio <= (leader?.times.ratio ?? 1) * (1 - TuningComparison.leastGain) {
      leader = (plan, times)
    }
  }
}
