import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// Article D: batch descent, random batches, pairs, noise and splits.
struct RandomisationFindings {
  private let data: TrialData
  private let plans: RandomisationPlans
  private let splits: Int
  private(set) var findings = StudyFindings()

  /// - Parameter splits: how many random splits are repeated.
  init(_ data: TrialData, epochs: Int, splits: Int, progress: TrialProgress) throws {
    self.data = data
    self.splits = splits
    plans = RandomisationPlans(epochs: epochs, examples: data.train.count, seed: data.seed)
    try descents(progress)
    try norms(progress)
    try rates(progress)
    try leaks(progress)
    try divisions(progress)
  }

  // MARK: Kinds of descent

  private mutating func descents(_ progress: TrialProgress) throws {
    for net in RandomisationPlans.Net.allCases {
      var trials: [String: Trial] = [:]
      var order: [Trial] = []
      for plan in plans.descents(net) {
        progress.begin(plan.name)
        let trial = try plan.run(on: data)
        order.append(trial)
        trials[String(plan.name.dropFirst(net.rawValue.count + 2))] = trial
      }
      findings.trials += order
      let prefix = net.rawValue.count + 2
      let curves = order.map {
        StudySection.Curve(String($0.name.dropFirst(prefix)), $0.lossCurve(60))
      }
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
          rows: order.map { trial in
            [
              trial.name, "\(trial.losses.count)", trial.accuracy.percent,
              trial.lastLoss.compact(), trial.fluctuation.compact(),
              Spread(trial.norms).mean.compact(), trial.largestNorm.compact(),
            ]
          },
          charts: [
            StudySection.Chart(
              "loss", across: "step", Array(curves[1..<7])),
            StudySection.Chart("loss with noise", across: "step", Array(curves[7...])),
          ]))
      try compare(net, trials)
    }
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

  // MARK: Norms with the same weights

  private mutating func norms(_ progress: TrialProgress) throws {
    progress.begin("norms with the same weights")
    guard
      let trained = findings.trials.first(where: { $0.name == "CNN, SGD" })?.trainer.model
    else { throw StudyFault.missing("a trained network") }
    let fresh = try Model(
      Models.digitsCNN(), input: data.train.exampleShape, device: data.device, seed: data.seed)
    var rows: [[String]] = []
    var smaller = 0
    let count = min(512, data.train.count / 32 * 32)
    for (when, model) in [("first weights", fresh), ("trained weights", trained)] {
      for size in [1, 32] {
        let found = try BatchNorms(
          model, data, count: size == 1 ? min(64, count) : count, size: size)
        let mean = Spread(found.batches).mean
        if mean < found.whole { smaller += 1 }
        findings.measure(
          "\(when), batches of \(size): mean norm over that of the whole", "at least 1",
          mean / found.whole, mean >= found.whole)
        rows.append([
          when, "\(size)", found.whole.compact(), mean.compact(),
          (found.batches.max() ?? 0).compact(), (mean / found.whole).fixed(2),
          found.meanOfBatches.compact(),
        ])
      }
    }
    findings.sections.append(
      .init(
        title: "Gradient norms with the same weights",
        text: "A norm is convex: the mean norm of random batches is never below the norm of "
          + "their mean, which is the gradient of the whole.",
        columns: [
          "weights", ">batch", ">norm of the whole", ">mean norm", ">largest", ">mean / whole",
          ">norm of the mean",
        ], rows: rows))
    let pairs = try pairNorms(trained)
    findings.measure(
      "largest norm of a difference of two gradients over the larger of the two", "above 1", pairs,
      pairs > 1)
    findings.find(
      "Randomness reduces the explosion of gradients.",
      smaller > 0,
      "With the same weights random batches have the larger mean norm in "
        + "\(4 - smaller) of 4 comparisons; the difference of two examples' gradients reaches "
        + "\(pairs.fixed(2)) times the larger of the two.")
  }

  /// The largest ‖g+ - g-‖ / max(‖g+‖, ‖g-‖) over some pairs of examples, g being the gradient of
  /// the loss of one.
  private func pairNorms(_ model: Model) throws -> Double {
    func gradient(_ place: Int) throws -> [Double] {
      let one = try TrialBatch(data.train, place..<(place + 1), on: data.device)
      _ = try model.valueAndGradient(pass: 0) { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(model(one.inputs, pass), one.labels)
      }
      return try model.flatGradient()
    }
    func norm(_ values: [Double]) -> Double {
      values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    var largest = 0.0
    for place in 0..<8 {
      let (first, second) = (try gradient(2 * place), try gradient(2 * place + 1))
      let bound = max(norm(first), norm(second))
      largest = max(largest, norm(zip(first, second).map { $0 - $1 }) / max(bound, 1e-30))
    }
    return largest
  }

  // MARK: High rates

  private mutating func rates(_ progress: TrialProgress) throws {
    let rates: [Float] = [0.1, 0.4, 1.6, 6.4, 25.6]
    let steps = 120
    var small = data
    small.train = try data.train[0..<256]
    var stable: [String: Float] = [:]
    var rows: [[String]] = []
    for rate in rates {
      for (name, size) in [("whole batch of 256", 256), ("random batches of 8", 8)] {
        progress.begin("\(name), rate \(rate)")
        var plan = TrialPlan(
          name: "\(name), rate \(rate)", group: "High rates",
          network: Models.mlp(hidden: [32], classes: 10),
          optimizer: .sgd(learningRate: rate), epochs: max(1, steps * size / 256))
        plan.batchSize = size
        plan.stability.maximumSkips = 3
        plan.validates = false
        let trial = try plan.run(on: small)
        let isStable = !trial.exploded && trial.lastLoss < 1.15 && trial.largestNorm < 1e3
        if isStable { stable[name] = rate }
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
    let whole = stable["whole batch of 256"] ?? 0
    let random = stable["random batches of 8"] ?? 0
    findings.find(
      "Random batches stay upright at rates at which the whole batch does not.",
      random > whole,
      "Highest rate at which training learns: whole batch \(whole), batches of 8 "
        + "\(random).")
  }

  // MARK: Splits

  private mutating func leaks(_ progress: TrialProgress) throws {
    progress.begin("the article's split")
    let shared = data.train.overlap(with: data.train)
    let clean = try data.train.split(trainFraction: 0.1, stratified: true, seed: data.seed)
    let own = clean.test.overlap(with: clean.train)
    findings.measure(
      "the article's split: examples in both sets", "\(data.train.count)", Double(shared.count),
      shared.count == data.train.count)
    findings.measure(
      "stratified split: examples in both sets", "0", Double(own.count), own.count == 0)
    var refusal = ""
    do { try data.train.requireDisjoint(from: data.train) } catch { refusal = "\(error)" }
    findings.sections.append(
      .init(
        title: "The article's split",
        text: "Every file goes into both sets. Keel refuses it: \(refusal).",
        columns: ["split", ">examples to test with", ">of these also trained on"],
        rows: [
          ["the article's", "\(data.train.count)", "\(shared.count)"],
          ["10 / 90, stratified", "\(clean.test.count)", "\(own.count)"],
        ]))
    findings.find(
      "The article's code divides the files into a training and a test set.",
      shared.count == 0,
      "\(shared.count) of \(data.train.count) examples are in both sets.")
  }

  private mutating func divisions(_ progress: TrialProgress) throws {
    let all = data.train
    let sorted = try all.sortedSplit(trainFraction: 0.1)
    let plain = try all.split(trainFraction: 0.1, seed: data.seed)
    let even = try all.split(trainFraction: 0.1, stratified: true, seed: data.seed)
    var rows: [[String]] = []
    func learn(_ name: String, _ train: Dataset, _ test: Dataset) throws -> Trial {
      progress.begin(name)
      var part = data
      (part.train, part.test) = (train, test)
      // A tenth of the data: more passes for as many steps.
      var plan = TrialPlan(
        name: name, group: "Splits", network: Models.digitsCNN(), optimizer: .adam(),
        epochs: max(15, 3 * plans.epochs))
      plan.validates = false
      return try plan.run(on: part)
    }
    func add(_ trial: Trial, _ train: Dataset) {
      let missing = train.missingClasses.map { "\($0)" }.joined(separator: ", ")
      rows.append([trial.name, trial.accuracy.percent, missing.isEmpty ? "none" : missing])
      findings.trials.append(trial)
    }
    let byLabel = try learn("sorted, first tenth", sorted.train, sorted.test)
    add(byLabel, sorted.train)
    let random = try learn("random tenth", plain.train, plain.test)
    add(random, plain.train)
    let stratified = try learn("stratified tenth", even.train, even.test)
    add(stratified, even.train)
    let leaked = try learn(
      "the article's: tested on what it was trained on", even.train, even.train)
    add(leaked, even.train)
    var accuracies: [Double] = []
    for (number, parts) in try all.repeatedSplits(
      count: splits, trainFraction: 0.1, seed: data.seed
    ).enumerated() {
      let trial = try learn("repeated split \(number + 1)", parts.train, parts.test)
      add(trial, parts.train)
      accuracies.append(trial.accuracy)
    }
    let spread = Spread(accuracies)
    findings.sections.append(
      .init(
        title: "Splits",
        text:
          "Train on a tenth of the training digits, test on the others; the digits network with "
          + "Adam. Repeated splits: \(spread.mean.percent) ± \(spread.deviation.percent). "
          + (sorted.warning.map { "Keel warns: \($0)." } ?? ""),
        columns: ["split", ">test accuracy", "classes never seen"], rows: rows))
    findings.measure(
      "repeated splits: deviation of the accuracy", "below 0.1", spread.deviation,
      spread.deviation < 0.1)
    findings.find(
      "Data may be sorted before they are divided.",
      byLabel.accuracy > random.accuracy - 0.1,
      "Sorted by label \(byLabel.accuracy.percent) with "
        + "\(sorted.train.missingClasses.count) classes never seen; random "
        + "\(random.accuracy.percent), stratified \(stratified.accuracy.percent).")
    findings.find(
      "Accuracy on the article's test set says how good a network is.",
      leaked.accuracy < stratified.accuracy + 0.01,
      "Tested on what it was trained on \(leaked.accuracy.percent), on others "
        + "\(stratified.accuracy.percent).")
  }
}
