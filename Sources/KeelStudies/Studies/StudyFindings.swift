import KeelBackend

/// What a study gathers on its way to a result.
struct StudyFindings {
  var verdicts: [StudyResult.Verdict] = []
  var sections: [StudySection] = []
  var measurements: [StudyResult.Measurement] = []
  var trials: [Trial] = []

  /// Adds what was found of one part of the claim.
  mutating func find(_ claim: String, _ supports: Bool, _ sentence: String) {
    verdicts.append(.init(claim, supports ? .yes : .no, sentence))
  }

  /// Adds a number that must hold on every device.
  mutating func measure(_ what: String, _ expected: String, _ measured: Double, _ holds: Bool) {
    measurements.append(
      .init(what, expected: expected, measured: measured.compact(), holds: holds))
  }

  /// All of it as a result.
  func result(
    of study: any Study, _ setting: StudySetting, method: String, verdict: String
  ) -> StudyResult {
    let agreed = verdicts.count { $0.supports == .yes }
    var result = StudyResult(
      study, setting, method: method, variants: trials.map(\.variant),
      measurements: measurements, details: verdicts,
      verdict: "\(agreed) of \(verdicts.count) parts hold. \(verdict)",
      supports: agreed == verdicts.count ? .yes : agreed == 0 ? .no : .partly)
    result.sections = sections
    return result
  }
}

/// Tells how far a study is.
final class TrialProgress {
  private let setting: StudySetting
  private let total: Int
  private var done = 0

  init(_ setting: StudySetting, total: Int) {
    self.setting = setting
    self.total = total
  }

  /// A part begins.
  func begin(_ text: String) {
    setting.progress(.init(done: min(done, total), total: total, text: text))
    done += 1
  }
}

extension Double {
  /// A part as a percentage, such as `97.25 %`.
  var percent: String { (100 * self).fixed(2) + " %" }
  /// A difference of parts in percentage points, such as `-1.25`.
  var points: String { (100 * self).fixed(2) }
}
