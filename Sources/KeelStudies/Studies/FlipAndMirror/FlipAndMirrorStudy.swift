/// Article C: dropout, Deadly Flip and mirror descent.
package struct FlipAndMirrorStudy: Study {
  package let name = "flip-and-mirror"
  package let title = "Dropout, Deadly Flip and mirror descent"
  package let article =
    "An article proposes three helpers beside Adam at a rate of 0.01: dropout, the exchange of the "
    + "parameters of two neurons, and mirror descent."
  package let claim =
    "Dropout never hurts, Deadly Flip helps where training fluctuates, and mirror descent makes it "
    + "smooth."

  package init() {}

  package func run(_ setting: StudySetting) throws -> StudyResult {
    let epochs = setting.pick(full: 8, quick: 10)
    let findings = try FlipAndMirrorFindings(
      TrialData(setting), epochs: epochs, progress: TrialProgress(setting, total: 43)
    ).findings
    return findings.result(
      of: self, setting,
      method:
        "Dense networks on digits, \(epochs) passes each with batches of 32, each "
        + "technique beside the same training without it.",
      verdict:
        "Each technique is exact where its definition says so; none of them helps everywhere."
    )
  }
}
