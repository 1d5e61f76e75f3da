import Glibc
import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// Article E: the equity transform, batch normalisation in its forms, both in a recurrent model.
struct EquityFindings {
  let data: TrialData
  let plans: EquityPlans
  private let deep: ScaledNetwork
  let recurrentEpochs: Int
  var findings = StudyFindings()

  init(
    _ data: TrialData, epochs: Int, recurrentEpochs: Int, deepEpochs: Int?, depth: Int,
    progress: TrialProgress
  ) throws {
    self.data = data
    self.recurrentEpochs = recurrentEpochs
    plans = EquityPlans(
      epochs: epochs, scaled: ScaledNetwork(depth: depth, width: 32), data: data,
      group: "\(depth) relu layers out of scale")
    deep = ScaledNetwork(depth: 49, width: 32)
    try checks(progress)
    try remedies(progress)
    if let deepEpochs { try fiftyLayers(deepEpochs, progress) }
    try recurrent(progress)
  }

  func batch() throws -> TrialBatch {
    try TrialBatch(data.train, 0..<min(256, data.train.count), on: data.device)
  }

  // MARK: One transform

  private mutating func checks(_ progress: TrialProgress) throws {
    let batch = try batch()
    var rows: [[String]] = []
    var found: [EquityCheck] = []
    let networks: [(String, Sequential, Int)] = [
      ("\(plans.scaled.depth) relu layers", plans.scaled.plain, .max),
      ("50 relu layers", deep.plain, .max),
      ("digits CNN", Models.digitsCNN(), 2),
      (
        "conv + LSTM(32) x 2 + Dense",
        EquityPlans.recurrent[0].network(GradientTaps()), 2
      ),
    ]
    for (name, network, scaled) in networks {
      for choice in EquityTransform.Choice.allCases {
        progress.begin("equity of \(choice.rawValue): \(name)")
        let model = try Model(
          network, input: data.train.exampleShape, device: data.device, seed: data.seed)
        try ScaledNetwork.scale(model, first: scaled)
        _ = try batch.backward(model)
        let check = try EquityCheck(EquityTransform(choice), of: model, batch)
        if choice == .gradientBalancing { found.append(check) }
        rows.append([
          name, choice.rawValue, check.outputIsEqual ? "equal" : "different",
          check.squareBefore.compact(), check.squareAfter.compact(),
          check.squareAtBest.isNaN ? "–" : check.squareAtBest.compact(),
          check.ratio.isNaN ? "–" : check.ratio.fixed(3), check.imbalance.compact(),
        ])
      }
    }
    let worst = found.map(\.ratio).max() ?? .nan
    // Before a gate nothing can be folded: there everything stays as it is.
    let folded = found.dropLast()
    let gated = found[found.count - 1]
    findings.measure("largest ‖g‖² over its least value", "at most 1.25", worst, worst <= 1.25)
    let equal = found.count { $0.outputIsEqual && $0.lossIsEqual }
    findings.measure(
      "networks with outputs equal to the bit", "\(found.count)", Double(equal),
      equal == found.count)
    findings.sections.append(
      .init(
        title: "One transform",
        text: "Weights are scaled by 1000 and 1/1000 in turn, then transformed. ‖g‖² is from "
          + "backward passes of 256 digits before and after; its least value is that of "
          + "multipliers that are not rounded to powers of two.",
        columns: [
          "network", "balances", "outputs", ">‖g‖² before", ">after", ">least", ">ratio",
          ">imbalance",
        ], rows: rows))
    findings.find(
      "It can be applied to any non-linear function, also to the gates of an LSTM.",
      gated.squareAfter < gated.squareBefore,
      "c * f(x / c) is f itself for relu and the like alone. Before the LSTM nothing is folded: "
        + "‖g‖² stays at \(gated.squareAfter.compact()).")
    findings.find(
      "The transformed function has the same input and output as the original.",
      found.allSatisfy { $0.outputIsEqual && $0.lossIsEqual },
      found.allSatisfy(\.outputIsEqual)
        ? "Outputs of all networks are equal to the bit." : "Some outputs differ.")
    findings.find(
      "Its gradients swing less.",
      folded.allSatisfy { $0.squareAfter < $0.squareBefore && $0.ratio < 1.25 },
      "‖g‖² goes from \(found[0].squareBefore.compact()) to "
        + "\(found[0].squareAfter.compact()) in \(networks[0].0), at most "
        + "\(worst.fixed(3)) times the least value possible.")
  }

  // MARK: Remedies

  private static let columns = [
    "variant", ">test accuracy", ">last loss", ">first gradient norm", ">largest", "end",
  ]

  private func row(_ trial: Trial) -> [String] {
    [
      trial.name, trial.accuracy.percent, trial.lastLoss.compact(),
      (trial.norms.first ?? .nan).compact(), trial.largestNorm.compact(),
      trial.stoppedAt.map { "stopped at step \($0)" } ?? "completed",
    ]
  }

  private mutating func remedies(_ progress: TrialProgress) throws {
    var trials: [Trial] = []
    for plan in try plans.remedies() {
      progress.begin(plan.name)
      trials.append(try plan.run(on: data))
    }
    findings.trials += trials
    var folds: [String: Double] = [:]
    var rows = trials.map(row)
    if let online = trials.first(where: { $0.name == "batch-norm online" }) {
      progress.begin("calibrated and folded")
      rows += try fold(online, &folds)
    }
    findings.sections.append(
      .init(
        title: "\(plans.scaled.depth) relu layers out of scale",
        text: "Each variant but the first begins with weights scaled by 1000 and 1/1000 in turn. "
          + "Gradient descent with momentum 0.9 at a rate of 0.02 for all.",
        columns: Self.columns, rows: rows,
        charts: [
          StudySection.Chart(
            "training loss", across: "step",
            trials.prefix(7).map { .init($0.name, $0.lossCurve(80)) }),
          StudySection.Chart(
            "training loss, batch-norm", across: "step",
            trials.dropFirst(7).map { .init($0.name, $0.lossCurve(80)) }),
          StudySection.Chart(
            "gradient norm", across: "step",
            [0, 1, 2, 4, 5, 7].map { .init(trials[$0].name, trials[$0].normCurve(80)) }),
        ]))
    let (scale, bad, good) = (trials[0], trials[1], trials[2])
    findings.find(
      "Equity alone makes a network out of scale train.",
      bad.exploded && !good.exploded && good.lastLoss < 0.9 * (good.losses.first ?? 0),
      "In scale \(scale.accuracy.percent), out of scale \(bad.accuracy.percent), "
        + "with equity \(good.accuracy.percent); the first gradient norm falls from "
        + "\((bad.norms.first ?? .nan).compact()) to \((good.norms.first ?? .nan).compact()).")
    again(trials)
    let (online, offline) = (trials[7], trials[8])
    findings.find(
      "Batch normalisation makes it train.",
      !online.exploded && online.lastLoss < 0.9 * (online.losses.first ?? 0),
      "Online \(online.accuracy.percent); with statistics calibrated before the first "
        + "step and kept \(offline.accuracy.percent); the weights stay out of scale, and the "
        + "first gradient norm is \((online.norms.first ?? .nan).compact()).")
    let difference = folds["difference"] ?? .infinity
    findings.measure(
      "folded: difference of outputs, of the largest", "at most 0.001", difference,
      difference <= 1e-3)
    findings.find(
      "Offline, batch normalisation needs no normalisation: it updates parameters directly.",
      (folds["difference"] ?? 1) < 1e-3 && folds["accuracy"] == folds["calibrated"],
      "Calibrated, then folded into the layers before: outputs differ by at most "
        + "\((folds["difference"] ?? .nan).compact()) of the largest, accuracy "
        + "\((folds["accuracy"] ?? 0).percent) as before.")
  }

  /// What transforms during training do.
  private mutating func again(_ trials: [Trial]) {
    let (once, one, mean, guarded) = (trials[2], trials[4], trials[5], trials[6])
    func text(_ trial: Trial) -> String {
      let end =
        trial.exploded
        ? "explodes" + (trial.stoppedAt.map { " (stopped at step \($0))" } ?? "")
        : "reaches \(trial.accuracy.percent)"
      let times = trial.trainer.updater.techniques.equity?.applications ?? 0
      return "\(times) times, multipliers up to 2^\(exponent(trial)): \(end)"
    }
    findings.find(
      "Applied again every few steps it does better than once.",
      mean.lastLoss < once.lastLoss || one.lastLoss < once.lastLoss,
      "Once, at the start: reaches \(once.accuracy.percent). Every 10 steps by the gradients of "
        + "one batch: \(text(one)). A unit that the batch hardly reaches gets a multiplier that "
        + "the other examples pay for: the function stays at each transform, the steps after it do "
        + "not. By the mean of squared gradients over about 100 steps: \(text(mean)). By that mean "
        + "where layers are out of balance by 32, as is the default: \(text(guarded)).")
    findings.measure(
      "trainings that exploded with transforms by the mean", "0",
      Double([mean, guarded].count(where: \.exploded)), !mean.exploded && !guarded.exploded)
    findings.measure(
      "largest multiplier by the mean, log2", "at most that by one batch",
      Double(exponent(mean)), exponent(mean) <= exponent(one))
  }

  private func exponent(_ trial: Trial) -> Int {
    trial.trainer.updater.techniques.equity?.counters.largestExponent ?? 0
  }

  /// Calibrates and folds a trained model, and measures after each.
  private func fold(_ trial: Trial, _ numbers: inout [String: Double]) throws -> [[String]] {
    let (trainer, model) = (trial.trainer, trial.trainer.model)
    let batch = try batch()
    try model.calibrateBatchNorm([batch.inputs])
    let calibrated = try trainer.evaluate(data.test)
    let before = try model(batch.inputs).scalars()
    try model.foldBatchNorm()
    let folded = try trainer.evaluate(data.test)
    let after = try model(batch.inputs).scalars()
    let largest = before.map { Double(abs($0)) }.max() ?? 1
    numbers["difference"] =
      zip(before, after).map { Double(abs($0 - $1)) }.max().map { $0 / max(largest, 1e-30) }
    numbers["accuracy"] = folded.accuracy ?? 0
    numbers["calibrated"] = calibrated.accuracy ?? 0
    return [
      ["then calibrated", (calibrated.accuracy ?? 0).percent, "–", "–", "–", "not trained"],
      ["then folded", (folded.accuracy ?? 0).percent, "–", "–", "–", "not trained"],
    ]
  }

  private mutating func fiftyLayers(_ epochs: Int, _ progress: TrialProgress) throws {
    var trials: [Trial] = []
    let plans = EquityPlans(
      epochs: epochs, scaled: deep, data: data, group: "50 relu layers out of scale")
    for plan in try plans.remedies().prefix(3) {
      progress.begin("50 layers, \(plan.name)")
      var plan = plan
      plan.name = "50 layers, \(plan.name)"
      plan.showsGradients = trials.count == 2
      trials.append(try plan.run(on: data))
    }
    findings.trials += trials
    findings.sections.append(
      .init(
        title: "50 relu layers out of scale",
        text: "The same with 50 layers, at a rate of 0.003 for \(plans.epochs) passes.",
        columns: Self.columns, rows: trials.map(row),
        charts: [
          StudySection.Chart(
            "training loss", across: "step",
            trials.map { .init($0.name, $0.lossCurve(80)) }),
          StudySection.Chart(
            "gradient norm", across: "step",
            trials.map { .init($0.name, $0.normCurve(80)) }),
        ]))
    let (bad, good) = (trials[1], trials[2])
    let start = good.losses.first ?? .nan
    findings.find(
      "50 layers out of scale train with equity alone.",
      bad.exploded && !good.exploded && good.lastLoss < 0.9 * start && good.accuracy > 0.2,
      "Loss at first \(start.compact()); in the end \(good.lastLoss.compact()) and "
        + "\(good.accuracy.percent) right with equity, \(bad.lastLoss.compact()) without"
        + (bad.stoppedAt.map { " (stopped at step \($0))" } ?? "")
        + ", \(trials[0].lastLoss.compact()) in scale.")
  }
}
