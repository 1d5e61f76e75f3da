import KeelBackend
import KeelData
import KeelNN
import KeelTraining

extension RandomisationFindings {
  /// What the article's split does: it shares every example.
  mutating func leaks(_ progress: TrialProgress) throws {
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

  /// A tenth of the data to learn from, chosen in several ways.
  mutating func divisions(_ progress: TrialProgress) throws {
    let all = data.train
    let sorted = try all.sortedSplit(trainFraction: 0.1)
    let plain = try all.split(trainFraction: 0.1, seed: data.seed)
    let even = try all.split(trainFraction: 0.1, stratified: true, seed: data.seed)
    var rows: [[String]] = []
    let byLabel = try learn("sorted, first tenth", sorted.train, sorted.test, &rows, progress)
    let random = try learn("random tenth", plain.train, plain.test, &rows, progress)
    let stratified = try learn("stratified tenth", even.train, even.test, &rows, progress)
    let leaked = try learn(
      "the article's: tested on what it was trained on", even.train, even.train, &rows, progress)
    let repeated = try repeatedSplits(&rows, progress)
    findings.sections.append(
      .init(
        title: "Splits",
        text:
          "Train on a tenth of the training digits, test on the others; the digits network with "
          + "Adam. Repeated splits: \(repeated.mean.percent) ± \(repeated.deviation.percent). "
          + (sorted.warning.map { "Keel warns: \($0)." } ?? ""),
        columns: ["split", ">test accuracy", "classes never seen"], rows: rows))
    findings.measure(
      "repeated splits: deviation of the accuracy", "below 0.1", repeated.deviation,
      repeated.deviation < 0.1)
    findings.find(
      "Data may be sorted before they are divided.",
      byLabel > random - 0.1,
      "Sorted by label \(byLabel.percent) with "
        + "\(sorted.train.missingClasses.count) classes never seen; random "
        + "\(random.percent), stratified \(stratified.percent).")
    findings.find(
      "Accuracy on the article's test set says how good a network is.",
      leaked < stratified + 0.01,
      "Tested on what it was trained on \(leaked.percent), on others \(stratified.percent).")
  }

  /// The accuracies with random splits.
  private mutating func repeatedSplits(
    _ rows: inout [[String]], _ progress: TrialProgress
  ) throws -> Spread {
    var accuracies: [Double] = []
    for (number, parts) in try data.train.repeatedSplits(
      count: splits, trainFraction: 0.1, seed: data.seed
    ).enumerated() {
      accuracies.append(
        try learn("repeated split \(number + 1)", parts.train, parts.test, &rows, progress))
    }
    return Spread(accuracies)
  }

  /// Trains on one part and tests on another.
  ///
  /// - Returns: the accuracy.
  private mutating func learn(
    _ name: String, _ train: Dataset, _ test: Dataset, _ rows: inout [[String]],
    _ progress: TrialProgress
  ) throws -> Double {
    progress.begin(name)
    var part = data
    (part.train, part.test) = (train, test)
    // A tenth of the data: more passes for as many steps.
    let plan = TrialPlan(
      name: name, group: "Splits", network: Models.digitsCNN(), optimizer: .adam(),
      epochs: max(15, 3 * plans.epochs))
    let trial = try plan.run(on: part)
    let missing = train.missingClasses.map { "\($0)" }.joined(separator: ", ")
    rows.append([trial.name, trial.accuracy.percent, missing.isEmpty ? "none" : missing])
    findings.trials.append(trial)
    return trial.accuracy
  }
}
