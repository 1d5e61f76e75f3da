import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

extension RandomisationFindings {
  /// Up to which rate training learns, with the whole batch and with random ones.
  mutating func rates(_ progress: TrialProgress) throws {
    var small = data
    small.train = try data.train[0..<256]
    var highest: [Int: Float] = [:]
    var rows: [[String]] = []
    for rate: Float in [0.1, 0.4, 1.6, 6.4, 25.6] {
      for (name, size) in [("whole batch of 256", 256), ("random batches of 8", 8)] {
        let plan = highRate("\(name), rate \(rate)", rate, batch: size)
        progress.begin(plan.name)
        let trial = try plan.run(on: small)
        let isStable = !trial.exploded && trial.lastLoss < 1.15 && trial.largestNorm < 1e3
        if isStable { highest[size] = rate }
        rows.append([
          trial.name, trial.lastLoss.compact(), trial.fluctuation.compact(),
          trial.largestNorm.compact(), isStable ? "learns" : "does not learn",
        ])
        findings.trials.append(trial)
      }
    }
    findings.sections.append(
      .init(
        title: "High rates",
        text: "The same number of updates of a small network on 256 digits. It learns where the "
          + "mean loss of the last quarter is below 1.15, half that of a guess.",
        columns: ["variant", ">last loss", ">fluctuation", ">largest gradient norm", "outcome"],
        rows: rows))
    let (whole, random) = (highest[256] ?? 0, highest[8] ?? 0)
    findings.find(
      "Random batches stay upright at rates at which the whole batch does not.",
      random > whole,
      "Highest rate at which training learns: whole batch \(whole), batches of 8 "
        + "\(random).")
  }

  /// 120 updates of a small network, whatever the size of a batch.
  private func highRate(_ name: String, _ rate: Float, batch size: Int) -> TrialPlan {
    var plan = TrialPlan(
      name: name, group: "High rates", network: Models.mlp(hidden: [32], classes: 10),
      optimizer: .sgd(learningRate: rate), epochs: max(1, 120 * size / 256))
    plan.batchSize = size
    plan.stability.maximumSkips = 3
    return plan
  }
}
