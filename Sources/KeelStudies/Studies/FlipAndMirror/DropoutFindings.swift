import KeelBackend
import KeelNN
import KeelTraining

/// A network with dropout or without, beside the one that differs in nothing else.
private struct DropoutResult {
  let trial: Trial
  let control: Trial?
  /// Of networks with batch normalisation.
  let shift: VarianceShift?

  /// The accuracy that dropout brings.
  var gain: Double? { control.map { trial.accuracy - $0.accuracy } }
}

extension FlipAndMirrorFindings {
  /// Whether dropout hurts, and where it may stand.
  mutating func dropout(_ progress: TrialProgress) throws {
    var results: [DropoutResult] = []
    for (plan, control) in plans.dropout {
      progress.begin(plan.name)
      let trial = try plan.run(on: data)
      let isNormalised = !trial.trainer.model.states.isEmpty
      results.append(
        DropoutResult(
          trial: trial, control: results.first { $0.trial.name == control }?.trial,
          shift: isNormalised ? try VarianceShift(trial, data) : nil))
    }
    findings.trials += results.map(\.trial)
    tabulate(results)
    judgeGains(results)
    judgeVariances(results)
  }

  private mutating func tabulate(_ results: [DropoutResult]) {
    let curves = results.map {
      StudySection.Curve($0.trial.name, $0.trial.lossCurve(60), isDashed: $0.control != nil)
    }
    findings.sections.append(
      .init(
        title: "Dropout",
        text: "Adam with a rate of 0.01 and sigmoid cross-entropy. Points of accuracy are against "
          + "the same network without dropout. The last column is the mean over channels of the "
          + "variance that batch normalisation kept from training over the one it meets in use.",
        columns: [
          "variant", ">test accuracy", ">points", ">test loss", ">last training loss",
          ">largest gradient norm", ">variance ratio",
        ],
        rows: results.map { result in
          let trial = result.trial
          return [
            trial.name, trial.accuracy.percent, result.gain.map { $0.points } ?? "–",
            trial.testLoss.compact(), trial.lastLoss.compact(), trial.largestNorm.compact(),
            result.shift.map { $0.ratio.fixed(3) } ?? "–",
          ]
        },
        charts: [
          StudySection.Chart(
            "training loss, without norm", across: "step", Array(curves.prefix(5))),
          StudySection.Chart(
            "training loss, with batch-norm", across: "step", Array(curves.dropFirst(5))),
        ]))
  }

  private mutating func judgeGains(_ results: [DropoutResult]) {
    let gains = results.compactMap { result in
      result.gain.map { (name: result.trial.name, gain: $0) }
    }
    let losers = gains.filter { $0.gain < 0 }
    let winners = gains.filter { $0.gain > 0 }
    let worst = losers.min { $0.gain < $1.gain } ?? ("", 0)
    let best = winners.max { $0.gain < $1.gain } ?? ("none gains", 0)
    findings.find(
      "Dropout never hurts.",
      worst.gain > -0.01,
      "Worst: \(worst.name), \(worst.gain.points) points of test accuracy against "
        + "the same network without; best: \(best.name), \(best.gain.points) points.")
  }

  private mutating func judgeVariances(_ results: [DropoutResult]) {
    func shift(_ name: String) -> VarianceShift? {
      results.first { $0.trial.name == name }?.shift
    }
    guard let shifted = shift("dropout 0.5, then batch-norm"), let plain = shift("batch-norm")
    else { return }
    findings.measure(
      "variance of training over that of use, dropout before batch-norm", "above 1.2",
      shifted.ratio, shifted.ratio > 1.2)
    findings.measure(
      "the same without dropout", "0.8 to 1.2", plain.ratio, abs(plain.ratio - 1) < 0.2)
    findings.find(
      "Dropout may stand anywhere, also directly before a batch normalisation.",
      shifted.ratio < 1.2 * plain.ratio,
      "The variance of training is \(shifted.ratio.fixed(2)) times that of use "
        + "(\(plain.ratio.fixed(2)) without dropout); statistics calibrated without dropout "
        + "change the test loss from \(shifted.testLoss.compact()) to "
        + "\(shifted.calibratedTestLoss.compact()).")
  }
}
