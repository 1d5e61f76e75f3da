import KeelBackend

extension FlipAndMirrorFindings {
  /// Each map at the usual rate and at a high one, beside plain descent.
  mutating func mirrors(_ progress: TrialProgress) throws {
    let usual = try mirrors(isHigh: false, progress)
    let high = try mirrors(isHigh: true, progress)
    var isEqual = true
    for (name, trials) in [("usual", usual), ("high", high)] {
      let differing = try trials[0].differingWeights(from: trials[1])
      isEqual = isEqual && differing == 0
      findings.measure(
        "\(name) rate: weights that differ, euclidean map and descent", "0", Double(differing),
        differing == 0)
    }
    tabulate(usual, high)
    judgeLimits(high)
    findings.find(
      "Mirror descent with the euclidean map is gradient descent.",
      isEqual, isEqual ? "All weights are equal to the bit." : "Weights differ.")
    judgeFluctuation(usual)
  }

  private mutating func mirrors(isHigh: Bool, _ progress: TrialProgress) throws -> [Trial] {
    let trials = try plans.mirror(isHigh: isHigh).map { plan in
      progress.begin(plan.name)
      return try plan.run(on: data)
    }
    findings.trials += trials
    return trials
  }

  /// A variant's name without its rate.
  private func map(_ trial: Trial) -> String { String(trial.name.prefix { $0 != "," }) }

  private mutating func tabulate(_ usual: [Trial], _ high: [Trial]) {
    func chart(_ title: String, _ trials: ArraySlice<Trial>) -> StudySection.Chart {
      StudySection.Chart(
        title, across: "step", trials.prefix(6).map { .init(map($0), $0.lossCurve(80)) },
        caption: "Training loss.")
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
        ],
        rows: (usual + high).map { trial in
          [
            trial.name, trial.accuracy.percent, trial.testLoss.compact(),
            trial.lastLoss.compact(), trial.fluctuation.compact(), trial.largestNorm.compact(),
            trial.stoppedAt.map { "stopped at step \($0)" } ?? "completed",
          ]
        },
        charts: [
          chart("usual rate", usual.dropFirst()), chart("high rate", high.dropFirst(2)),
        ]))
  }

  /// The last two variants at the high rate are without a limit, which the fifth and sixth have.
  private mutating func judgeLimits(_ high: [Trial]) {
    let (free, limited) = (high.suffix(2), [high[4].accuracy, high[5].accuracy])
    findings.find(
      "Maps that multiply need a limit on the size of a step.",
      zip(free, limited).contains { $0.exploded || $0.accuracy < $1 - 0.1 },
      free.map {
        "\($0.name): largest gradient norm \($0.largestNorm.compact()), accuracy "
          + "\($0.accuracy.percent)"
      }.joined(separator: "; ") + ".")
  }

  private mutating func judgeFluctuation(_ usual: [Trial]) {
    var smoother = 0
    var sentences: [String] = []
    // Each map with what it stands beside; the entropy map has a control of its own.
    let pairs = [(2, 0), (3, 0), (4, 0), (5, 6), (7, 0)]
    for (place, control) in pairs {
      let (trial, plain) = (usual[place], usual[control])
      let ratio = trial.fluctuation / plain.fluctuation
      if ratio < 0.9, trial.accuracy > plain.accuracy - 0.02, !trial.exploded { smoother += 1 }
      let points = (100 * (trial.accuracy - plain.accuracy)).fixed(1)
      sentences.append("\(map(trial)) \(ratio.fixed(2)) (\(points) points)")
    }
    findings.find(
      "Mirror descent makes training smooth.",
      2 * smoother > pairs.count,
      "Fluctuation against plain descent at the usual rate: "
        + sentences.joined(separator: ", ") + ".")
  }
}
