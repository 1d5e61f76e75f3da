/// Article D: randomness in gradient descent.
package struct RandomisationStudy: Study {
  package let name = "randomisation"
  package let title = "Batches, pairs, noise and splits"
  package let article =
    "An article compares whole-batch descent, random batches, Adam, pairs of examples and noise "
    + "on handwritten digits, with data that are sorted, split and split again."
  package let claim = "Randomness reduces the explosion of gradients."

  package init() {}

  package func run(_ setting: StudySetting) throws -> StudyResult {
    let epochs = setting.pick(full: 3, quick: 5)
    let findings = try RandomisationFindings(
      TrialData(setting), epochs: epochs, splits: setting.pick(full: 8, quick: 2),
      progress: TrialProgress(setting, total: setting.pick(full: 46, quick: 40))
    ).findings
    return findings.result(
      of: self, setting,
      method: "The digits network and a small DenseNet, \(epochs) passes over the digits for each "
        + "kind of descent; gradient norms with equal weights; splits of the training digits.",
      verdict:
        "Random batches learn faster, since they make more steps; their gradients are larger, "
        + "not smaller, than that of the whole.")
  }
}
