import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

extension FlipAndMirrorFindings {
  // MARK: One exchange

  /// What exchanging two units of a trained network can change at all.
  mutating func exchanges(_ progress: TrialProgress) throws {
    progress.begin("one exchange in each mode")
    guard
      let trained = findings.trials.first(where: { $0.name == "wide" })?.trainer.model
    else { throw StudyFault.missing("a trained network") }
    let batch = try TrialBatch(data.train, 0..<min(256, data.train.count), on: data.device)
    let checks = try DeadlyFlip.Mode.allCases.map { try ExchangeCheck($0, of: trained, batch) }
    findings.sections.append(
      .init(
        title: "One exchange of two units",
        text: "Two units of the trained wide network, exchanged in each mode; a fixed batch.",
        columns: [
          "mode", ">loss", ">its relative change", ">gradient norm", ">its relative change",
        ],
        rows: checks.map { check in
          [
            check.mode.rawValue, check.lossBefore.compact(), check.lossChange.compact(),
            check.normBefore.compact(), check.normChange.compact(),
          ]
        }))
    judge(checks)
  }

  private mutating func judge(_ checks: [ExchangeCheck]) {
    for check in checks where check.mode != .incoming {
      findings.measure(
        "\(check.mode.rawValue): relative change of the loss", "at most 1e-5", check.lossChange,
        check.lossChange <= 1e-5)
      findings.measure(
        "\(check.mode.rawValue): relative change of the gradient norm", "at most 1e-4",
        check.normChange, check.normChange <= 1e-4)
    }
    guard let whole = checks.first(where: { $0.mode == .permutation }),
      let part = checks.first(where: { $0.mode == .incoming })
    else { return }
    findings.find(
      "Exchanging the parameters of two neurons takes an explosion away.",
      whole.lossChange > 1e-4 || whole.normChange > 1e-3,
      "Exchanged whole, loss and gradient norm stay (relative changes "
        + "\(whole.lossChange.compact()) and \(whole.normChange.compact())): it cannot. With "
        + "incoming weights alone the loss changes by \(part.lossChange.compact()) of itself.")
  }

  // MARK: During training

  private typealias FlipResult = (group: FlipAndMirrorPlans.FlipGroup, trials: [Trial])

  /// Whether exchanges help a training that fluctuates.
  mutating func flips(_ progress: TrialProgress) throws {
    var results: [FlipResult] = []
    for group in FlipAndMirrorPlans.flipGroups {
      let trials = try plans.plans(of: group).map { plan in
        progress.begin(plan.name)
        return try plan.run(on: data)
      }
      findings.trials += trials
      results.append((group, trials))
    }
    let count = results.flatMap(\.trials).reduce(0) { $0 + ($1.flips ?? 0) }
    findings.measure("flips in all", "at least 100", Double(count), count >= 100)
    tabulate(results)
    judge(results.filter(\.group.isFluctuating))
  }

  private mutating func tabulate(_ results: [FlipResult]) {
    let names = ["no flip"] + DeadlyFlip.Mode.allCases.map(\.rawValue)
    findings.sections.append(
      .init(
        title: "Deadly Flip",
        text: "Fluctuation is the standard deviation of the batch losses over the last quarter of "
          + "the steps. The last column is the largest relative difference of the loss from the "
          + "run without flips: an exchange of whole units differs by rounding alone, which grows "
          + "from step to step where the rate is high.",
        columns: [
          "variant", ">flips", ">test accuracy", ">last loss", ">fluctuation",
          ">largest gradient norm", ">difference",
        ],
        rows: results.flatMap { result in
          result.trials.enumerated().map { place, trial in
            [
              trial.name, trial.flips.map { "\($0)" } ?? "–", trial.accuracy.percent,
              trial.lastLoss.compact(), trial.fluctuation.compact(), trial.largestNorm.compact(),
              place > 0 ? trial.lossDifference(from: result.trials[0]).compact() : "–",
            ]
          }
        },
        charts: results.map { result in
          StudySection.Chart(
            result.group.name, across: "step",
            zip(result.trials, names).map {
              .init($1, $0.lossCurve(80), isDashed: $0.flips != nil)
            }, caption: "Training loss.")
        }))
  }

  private mutating func judge(_ fluctuating: [FlipResult]) {
    var helped = 0
    var sentences: [String] = []
    for (group, trials) in fluctuating {
      guard let flipped = trials.last else { continue }
      let ratio = flipped.fluctuation / trials[0].fluctuation
      let gain = flipped.accuracy - trials[0].accuracy
      if ratio < 0.8 && gain > -0.005 { helped += 1 }
      sentences.append(
        "\(group.name): fluctuation times \(ratio.fixed(2)), accuracy \(gain.points) points")
    }
    findings.find(
      "Deadly Flip helps when training fluctuates.", helped == 2,
      "Incoming weights exchanged at high rates: " + sentences.joined(separator: "; ") + ".")
  }
}
