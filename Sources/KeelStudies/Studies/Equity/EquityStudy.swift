/// Article E: the equity transform and batch normalisation.
package struct EquityStudy: Study {
  package let name = "equity"
  package let title = "Equity transform and batch normalisation"
  package let article =
    "An article multiplies the input and the output of functions so that gradients swing less, "
    + "normalises batches online and offline, and puts both into a convolutional LSTM model."
  package let claim =
    "The transformed function has the same input and output as the original, with smaller swings "
    + "of the gradient."

  package init() {}

  package func run(_ setting: StudySetting) throws -> StudyResult {
    let epochs = setting.pick(full: 6, quick: 8)
    let findings = try EquityFindings(
      TrialData(setting), epochs: epochs, recurrentEpochs: setting.pick(full: 3, quick: 4),
      // 50 layers begin to learn after some thousand steps: a part of the full form alone.
      deepEpochs: setting.pick(full: 12, quick: nil), depth: 9,
      progress: TrialProgress(setting, total: setting.pick(full: 29, quick: 26))
    ).findings
    return findings.result(
      of: self, setting,
      method: "Networks whose weights are multiplied by 1000 and 1/1000 in turn, with each remedy; "
        + "\(epochs) passes over the digits with batches of 32.",
      verdict: "With multipliers that are powers of two the function stays to the bit.")
  }
}
