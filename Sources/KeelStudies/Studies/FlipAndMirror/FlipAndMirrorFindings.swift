import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// Article C: dropout, Deadly Flip and mirror descent.
struct FlipAndMirrorFindings {
  private let data: TrialData
  private let plans: FlipAndMirrorPlans
  private(set) var findings = StudyFindings()

  init(_ data: TrialData, epochs: Int, progress: TrialProgress) throws {
    self.data = data
    plans = FlipAndMirrorPlans(epochs: epochs)
    try dropout(progress)
    try exchanges(progress)
    try flips(progress)
    try mirrors(progress)
  }

  // MARK: Dropout

  private mutating func dropout(_ progress: TrialProgress) throws {
    var trials: [String: Trial] = [:]
    var rows: [[String]] = []
    var curves: [StudySection.Curve] = []
    var (worst, worstName, best, bestName) = (0.0, "", 0.0, "")
    var shifts: [String: VarianceShift] = [:]
    for (plan, control) in plans.dropout {
      progress.begin(plan.name)
      let trial = try plan.run(on: data)
      trials[plan.name] = trial
      findings.trials.append(trial)
      var difference = "–"
      if let control, let other = trials[control] {
        let gain = trial.accuracy - other.accuracy
        difference = (100 * gain).fixed(2)
        if gain < worst { (worst, worstName) = (gain, plan.name) }
        if gain > best { (best, bestName) = (gain, plan.name) }
      }
      var shift = "–"
      if !trial.trainer.model.states.isEmpty {
        let found = try VarianceShift(trial, data)
        shifts[plan.name] = found
        shift = found.ratio.fixed(3)
      }
      rows.append([
        plan.name, trial.accuracy.percent, difference, trial.testLoss.compact(),
        trial.lastLoss.compact(), trial.largestNorm.compact(), shift,
      ])
      curves.append(.init(plan.name, trial.lossCurve(60), isDashed: control != nil))
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
        ], rows: rows,
        charts: [
          StudySection.Chart(
            "training loss, without norm", across: "step", Array(curves.prefix(5))),
          StudySection.Chart(
            "training loss, with batch-norm", across: "step", Array(curves.dropFirst(5))),
        ]))
    findings.find(
      "Dropout never hurts.",
      worst > -0.01,
      "Worst: \(worstName), \((100 * worst).fixed(2)) points of test accuracy against "
        + "the same network without; best: \(bestName.isEmpty ? "none gains" : bestName), "
        + "\((100 * best).fixed(2)) points.")
    guard let shifted = shifts["dropout 0.5, then batch-norm"], let plain = shifts["batch-norm"]
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

  // MARK: Deadly Flip

  private mutating func exchanges(_ progress: TrialProgress) throws {
    progress.begin("one exchange in each mode")
    guard
      let trained = findings.trials.first(where: { $0.name == "wide" })?.trainer.model
    else { throw StudyFault.missing("a trained network") }
    let batch = try TrialBatch(data.train, 0..<min(256, data.train.count), on: data.device)
    var rows: [[String]] = []
    var checks: [DeadlyFlip.Mode: ExchangeCheck] = [:]
    for mode in DeadlyFlip.Mode.allCases {
      let check = try ExchangeCheck(mode, of: trained, batch)
      checks[mode] = check
      rows.append([
        mode.rawValue, check.lossBefore.compact(), check.lossChange.compact(),
        check.normBefore.compact(), check.normChange.compact(),
      ])
      guard mode != .incoming else { continue }
      findings.measure(
        "\(mode.rawValue): relative change of the loss", "at most 1e-5", check.lossChange,
        check.lossChange <= 1e-5)
      findings.measure(
        "\(mode.rawValue): relative change of the gradient norm", "at most 1e-4",
        check.normChange, check.normChange <= 1e-4)
    }
    findings.sections.append(
      .init(
        title: "One exchange of two units",
        text: "Two units of the trained wide network, exchanged in each mode; a fixed batch.",
        columns: [
          "mode", ">loss", ">its relative change", ">gradient norm", ">its relative change",
        ], rows: rows))
    guard let whole = checks[.permutation], let part = checks[.incoming] else { return }
    findings.find(
      "Exchanging the parameters of two neurons takes an explosion away.",
      whole.lossChange > 1e-4 || whole.normChange > 1e-3,
      "Exchanged whole, loss and gradient norm stay (relative changes "
        + "\(whole.lossChange.compact()) and \(whole.normChange.compact())): it cannot. With "
        + "incoming weights alone the loss changes by \(part.lossChange.compact()) of itself.")
  }

  private mutating func flips(_ progress: TrialProgress) throws {
    var rows: [[String]] = []
    var figures: [StudySection.Chart] = []
    var helped: [String] = []
    var sentences: [String] = []
    var count = 0
    for group in FlipAndMirrorPlans.flipGroups {
      var trials: [Trial] = []
      for plan in try plans.plans(of: group) {
        progress.begin(plan.name)
        let trial = try plan.run(on: data)
        trials.append(trial)
        count += trial.flips ?? 0
        rows.append([
          plan.name, trial.flips.map { "\($0)" } ?? "–", trial.accuracy.percent,
          trial.lastLoss.compact(), trial.fluctuation.compact(), trial.largestNorm.compact(),
          trials.count > 1 ? trial.lossDifference(from: trials[0]).compact() : "–",
        ])
      }
      findings.trials += trials
      figures.append(
        StudySection.Chart(
          group.name, across: "step",
          zip(trials, ["no flip"] + DeadlyFlip.Mode.allCases.map(\.rawValue)).map {
            .init($1, $0.lossCurve(80), isDashed: $0.flips != nil)
          }, caption: "Training loss."))
      guard group.isFluctuating, let flipped = trials.last else { continue }
      let ratio = flipped.fluctuation / trials[0].fluctuation
      let gain = flipped.accuracy - trials[0].accuracy
      if ratio < 0.8 && gain > -0.005 { helped.append(group.name) }
      sentences.append(
        "\(group.name): fluctuation times \(ratio.fixed(2)), accuracy \((100 * gain).fixed(2)) "
          + "points")
    }
    findings.measure("flips in all", "at least 100", Double(count), count >= 100)
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
        ], rows: rows, charts: figures))
    findings.find(
      "Deadly Flip helps when training fluctuates.",
      helped.count == 2,
      "Incoming weights exchanged at high rates: " + sentences.joined(separator: "; ")
        + ".")
  }

  // MARK: Mirror descent

  private mutating func mirrors(_ progress: TrialProgress) throws {
    var (smoother, compared) = (0, 0)
    var sentences: [String] = []
    var rows: [[String]] = []
    var figures: [StudySection.Chart] = []
    var isEqual = true
    for isHigh in [false, true] {
      var trials: [Trial] = []
      for plan in plans.mirror(isHigh: isHigh) {
        progress.begin(plan.name)
        let trial = try plan.run(on: data)
        trials.append(trial)
        rows.append([
          plan.name, trial.accuracy.percent, trial.testLoss.compact(), trial.lastLoss.compact(),
          trial.fluctuation.compact(), trial.largestNorm.compact(),
          trial.stoppedAt.map { "stopped at step \($0)" } ?? "completed",
        ])
      }
      findings.trials += trials
      let differing = try trials[0].differingWeights(from: trials[1])
      isEqual = isEqual && differing == 0
      findings.measure(
        "\(isHigh ? "high" : "usual") rate: weights that differ, euclidean map and descent", "0",
        Double(differing), differing == 0)
      figures.append(
        StudySection.Chart(
          isHigh ? "high rate" : "usual rate", across: "step",
          trials.dropFirst(isHigh ? 2 : 1).prefix(6).map {
            .init(String($0.name.prefix { $0 != "," }), $0.lossCurve(80))
          }, caption: "Training loss."))
      for (place, control) in [(2, 0), (3, 0), (4, 0), (5, 6), (7, 0)] {
        let ratio = trials[place].fluctuation / trials[control].fluctuation
        let isAsGood = trials[place].accuracy > trials[control].accuracy - 0.02
        if !isHigh {
          compared += 1
          if ratio < 0.9 && isAsGood && !trials[place].exploded { smoother += 1 }
          sentences.append(
            "\(trials[place].name.prefix { $0 != "," }) \(ratio.fixed(2)) "
              + "(\((100 * (trials[place].accuracy - trials[control].accuracy)).fixed(1)) points)")
        }
      }
      guard isHigh else { continue }
      let free = trials.suffix(2)
      let limited = [trials[4].accuracy, trials[5].accuracy]
      findings.find(
        "Maps that multiply need a limit on the size of a step.",
        zip(free, limited).contains { $0.exploded || $0.accuracy < $1 - 0.1 },
        free.map {
          "\($0.name): largest gradient norm \($0.largestNorm.compact()), accuracy "
            + "\($0.accuracy.percent)"
        }.joined(separator: "; ") + ".")
    }
    findings.sections.append(
      .init(
        title: "Mirror descent",
        text:
          "Without momentum, with softmax cross-entropy. The rate of each map is chosen so that "
          + "its steps are about as "
          + "large as those of plain descent at weights of the usual size. The entropy map needs "
          + "positive weights: its network begins with them, and stands beside plain descent from "
          + "the same weights. The variants without a limit take three times the high rate.",
        columns: [
          "variant", ">test accuracy", ">test loss", ">last loss", ">fluctuation",
          ">largest gradient norm", "end",
        ], rows: rows, charts: figures))
    findings.find(
      "Mirror descent with the euclidean map is gradient descent.",
      isEqual,
      isEqual ? "All weights are equal to the bit." : "Weights differ.")
    findings.find(
      "Mirror descent makes training smooth.",
      2 * smoother > compared,
      "Fluctuation against plain descent at the usual rate: "
        + sentences.joined(separator: ", ") + ".")
  }
}
