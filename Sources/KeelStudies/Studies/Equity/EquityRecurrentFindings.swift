import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

extension EquityFindings {
  /// The conv + LSTM(32) x 2 + Dense model in its forms.
  mutating func recurrent(_ progress: TrialProgress) throws {
    var plans = plans
    plans = EquityPlans(
      epochs: recurrentEpochs, scaled: plans.scaled, data: data,
      group: "Conv + LSTM(32) x 2 + Dense")
    var rows: [[String]] = []
    var trials: [Trial] = []
    var curves: [(first: StudySection.Curve, last: StudySection.Curve)] = []
    var reach: [String: Double] = [:]
    let batch = try batch()
    for form in EquityPlans.recurrent {
      progress.begin(form.name)
      let taps = GradientTaps()
      let plan = plans.plan(of: form, taps)
      let model = try Model(
        plan.network, input: data.train.exampleShape, device: data.device, seed: data.seed)
      _ = try batch.backward(model)
      guard let path = taps.paths.last else { throw StudyFault.missing("a tapped layer") }
      let before = try taps.norms(of: path).map { Double($0) }
      let trial = try plan.run(on: data)
      _ = try batch.backward(trial.trainer.model)
      let after = try taps.norms(of: path).map { Double($0) }
      trials.append(trial)
      // How much of the last step's gradient reaches the first one.
      reach[form.name] = before[0] / max(before[before.count - 1], 1e-30)
      rows.append([
        form.name, trial.accuracy.percent, trial.lastLoss.compact(), trial.largestNorm.compact(),
        (reach[form.name] ?? 0).compact(),
        (after[0] / max(after[after.count - 1], 1e-30)).compact(),
      ])
      func series(_ values: [Double]) -> StudySection.Curve {
        .init(form.name, values.enumerated().map { (Double($0.offset + 1), $0.element) })
      }
      curves.append((series(before), series(after)))
    }
    findings.trials += trials
    findings.sections.append(
      .init(
        title: "Conv + LSTM(32) x 2 + Dense",
        text: "Adam at 0.003. The gradient of the loss by the hidden state of the second LSTM at "
          + "each of its 13 steps; the last two columns are its norm at the first step over that "
          + "at the last: what is left after 12 steps back.",
        columns: [
          "variant", ">test accuracy", ">last loss", ">largest gradient norm",
          ">reach before training", ">after",
        ], rows: rows,
        charts: [
          StudySection.Chart(
            "gradient at each step before training", across: "time step",
            curves.prefix(4).map(\.first)),
          StudySection.Chart(
            "gradient at each step after training", across: "time step",
            curves.prefix(4).map(\.last)),
          StudySection.Chart(
            "training loss", across: "step",
            trials.map { .init($0.name, $0.lossCurve(60)) }),
        ]))
    let (one, zero) = ("forget bias 1, orthogonal", "forget bias 0, orthogonal")
    findings.find(
      "A forget bias of 1 keeps gradients alive through time.",
      (reach[one] ?? 0) > 2 * (reach[zero] ?? .infinity),
      "Before training \((reach[one] ?? 0).compact()) of the last step's gradient "
        + "reaches the first with a bias of 1, \((reach[zero] ?? 0).compact()) with 0.")
    let plain = trials[0]
    let both = trials[trials.count - 1]
    findings.find(
      "Equity and batch normalisation together do more for the model than one of them.",
      both.accuracy > max(plain.accuracy, trials[4].accuracy, trials[5].accuracy) + 0.01,
      "Test accuracy \(both.accuracy.percent) with both, \(trials[4].accuracy.percent) "
        + "with batch-norm, \(trials[5].accuracy.percent) with equity, "
        + "\(plain.accuracy.percent) with neither.")
  }
}
