import KeelBackend
import KeelNN
import KeelTraining

extension RandomisationFindings {
  /// One network with each kind of descent.
  mutating func descents(
    _ net: RandomisationPlans.Net, _ progress: TrialProgress
  ) throws {
    let trials = try plans.descents(net).map { plan in
      progress.begin(plan.name)
      return try plan.run(on: data)
    }
    findings.trials += trials
    let prefix = net.rawValue.count + 2
    tabulate(net, trials) { String($0.name.dropFirst(prefix)) }
    try compare(
      net,
      Dictionary(
        trials.map { (String($0.name.dropFirst(prefix)), $0) }, uniquingKeysWith: { $1 }))
  }

  private mutating func tabulate(
    _ net: RandomisationPlans.Net, _ trials: [Trial], _ name: (Trial) -> String
  ) {
    let curves = trials.map { StudySection.Curve(name($0), $0.lossCurve(60)) }
    findings.sections.append(
      .init(
        title: "Kinds of descent: \(net.rawValue)",
        text:
          "The same number of passes over the data for all; batch descent makes one update in "
          + "each. Coordinate descent changes one parameter tensor in each update.",
        columns: [
          "variant", ">updates", ">test accuracy", ">last loss", ">fluctuation",
          ">mean gradient norm", ">largest",
        ],
        rows: trials.map { trial in
          [
            trial.name, "\(trial.losses.count)", trial.accuracy.percent,
            trial.lastLoss.compact(), trial.fluctuation.compact(),
            Spread(trial.norms).mean.compact(), trial.largestNorm.compact(),
          ]
        },
        charts: [
          StudySection.Chart("loss", across: "step", Array(curves[1..<7])),
          StudySection.Chart("loss with noise", across: "step", Array(curves[7...])),
        ]))
  }

  private mutating func compare(
    _ net: RandomisationPlans.Net, _ trials: [String: Trial]
  ) throws {
    guard let whole = trials["batch gradient descent"], let sgd = trials["SGD"],
      let adam = trials["Adam"], let pair = trials["pair-sampling SGD"],
      let still = trials["UPSGD, a = 0.0"], let loud = trials["UPSGD, a = 0.1"]
    else { throw StudyFault.missing("a kind of descent") }
    let name = net.rawValue
    findings.find(
      "Random batches learn more in a pass than the whole batch does (\(name)).",
      sgd.accuracy > whole.accuracy + 0.02
        && adam.accuracy > whole.accuracy + 0.02,
      "SGD \(sgd.accuracy.percent), Adam \(adam.accuracy.percent), whole batch "
        + "\(whole.accuracy.percent).")
    let differing = try sgd.differingWeights(from: still)
    findings.measure(
      "\(name): weights that differ, UPSGD of amplitude 0 and SGD", "0", Double(differing),
      differing == 0)
    findings.find(
      "Uniform noise on gradients helps (\(name)).",
      loud.accuracy > sgd.accuracy + 0.03,
      "With a = 0.1 the accuracy is \(loud.accuracy.percent), without "
        + "\(sgd.accuracy.percent); the noise of the first update has a norm of about "
        + "\(noiseNorm(loud, 0.1).compact()), the gradient \(sgd.norms[0].compact()).")
    findings.find(
      "Pairs of examples make gradients smaller (\(name)).",
      Spread(pair.norms).mean < Spread(sgd.norms).mean
        && pair.largestNorm < sgd.largestNorm,
      "Gradient norm with the pair term: mean \(Spread(pair.norms).mean.compact()), "
        + "largest \(pair.largestNorm.compact()); without: "
        + "\(Spread(sgd.norms).mean.compact()) and \(sgd.largestNorm.compact()).")
  }

  /// a * sqrt(count / 3), the expected norm of uniform noise.
  private func noiseNorm(_ trial: Trial, _ amplitude: Double) -> Double {
    let count = trial.trainer.model.parameters.reduce(0) { $0 + $1.shape.count }
    return amplitude * (Double(count) / 3).squareRoot()
  }
}
