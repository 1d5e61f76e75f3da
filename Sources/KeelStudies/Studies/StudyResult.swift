/// What a study found. Holds no times, paths or names of machines, so that files can be compared.
package struct StudyResult: Hashable, Sendable, Codable {
  /// Whether numbers support a claim.
  package enum Support: String, Hashable, Sendable, Codable { case yes, no, partly }

  /// One number against what was expected of it.
  package struct Measurement: Hashable, Sendable, Codable {
    package var what: String
    package var expected: String
    package var measured: String
    package var holds: Bool

    package init(_ what: String, expected: String, measured: String, holds: Bool) {
      self.what = what
      self.expected = expected
      self.measured = measured
      self.holds = holds
    }
  }

  /// What was found of one part of the claim.
  package struct Verdict: Hashable, Sendable, Codable {
    package var claim: String
    package var supports: Support
    package var sentence: String

    package init(_ claim: String, _ supports: Support, _ sentence: String) {
      self.claim = claim
      self.supports = supports
      self.sentence = sentence
    }
  }

  /// The study's name.
  package var study: String
  /// The seed, the scale, what the examples were and where it was computed.
  package var seed: UInt64
  package var scale: StudyScale
  package var data: String
  package var device: String
  /// How it was done, in a few sentences.
  package var method: String
  /// What was trained.
  package var variants: [StudyVariant]
  /// Numbers against what was expected of them.
  package var measurements: [Measurement]
  /// The findings on the parts of the claim, if it has parts.
  package var details: [Verdict]
  /// Tables and plots besides those of the variants.
  package var sections: [StudySection] = []
  /// The finding on the claim as a whole.
  package var verdict: String
  package var supports: Support

  package init(
    _ study: any Study, _ setting: StudySetting, method: String, variants: [StudyVariant],
    measurements: [Measurement] = [], details: [Verdict] = [], verdict: String, supports: Support
  ) {
    self.study = study.name
    seed = setting.seed
    scale = setting.scale
    data = setting.dataText
    device = setting.deviceClass
    self.method = method
    self.variants = variants.map(\.withoutHiddenGradients)
    self.measurements = measurements
    self.details = details
    self.verdict = verdict
    self.supports = supports
  }

  /// The variant of a name.
  package subscript(name: String) -> StudyVariant? { variants.first { $0.name == name } }
}

extension StudyResult {
  /// What must be the same on every device: names, outcomes, whether measurements hold, and
  /// findings, without numbers.
  package var findings: [String] {
    variants.map { "\($0.group) / \($0.name): \($0.outcome.kind.rawValue)" }
      + measurements.map { "\($0.what): \($0.holds ? "holds" : "does not hold")" }
      + details.map { "\($0.claim): \($0.supports.rawValue)" }
      + ["\(study): \(supports.rawValue)"]
  }
}
