import KeelBackend

/// What the trainings of ``DefencesStudy`` say.
struct DefenceFindings {
  private typealias Group = DefencesStudy.Group
  private let variants: [StudyVariant]
  private let tried: [StudiedDefence]

  init(_ variants: [StudyVariant], _ defences: [StudiedDefence]) {
    self.variants = variants
    tried = defences.filter { $0.family != nil }
  }

  /// Whether every kind of defence avoids the failure, whichever of the kind one takes.
  var supports: StudyResult.Support {
    let found = StudiedDefence.Family.allCases.map(support)
    if found.allSatisfy({ $0 == .yes }) { return .yes }
    return found.allSatisfy { $0 == .no } ? .no : .partly
  }

  var sentence: String {
    let words: [(StudyResult.Support, String)] = [
      (.yes, "every form tried of"), (.partly, "some forms of"), (.no, "no form of"),
    ]
    let parts = words.compactMap { support, words in
      let found = StudiedDefence.Family.allCases.filter { self.support($0) == support }.map(
        \.rawValue)
      return found.isEmpty ? nil : "\(words) \(found.joined(separator: ", "))"
    }
    return "At 25 times the normal learning rate, where the bare network fails, training was kept "
      + "upright by \(parts.joined(separator: "; by "))."
  }

  /// A finding for each of the five kinds.
  var families: [StudyResult.Verdict] {
    StudiedDefence.Family.allCases.map { family in
      let members = tried.filter { $0.family == family }
      let saved = members.filter { support($0) == .yes }.map(\.name)
      return .init(
        "\(family.rawValue) avoids the explosion", support(family),
        "\(saved.count) of \(members.count)"
          + (saved.isEmpty ? "" : ": " + saved.joined(separator: ", ")))
    }
  }

  /// A finding for each defence: what it does at both rates.
  var defences: [StudyResult.Verdict] {
    let without = find(Group.normal, "none")?.testAccuracy ?? 0
    return tried.map { defence in
      let fast = find(Group.fast, defence.name)
      let normal = find(Group.normal, defence.name)?.testAccuracy ?? 0
      return .init(
        defence.name, support(defence),
        "at the large rate it \(fast.map { "\($0.outcome)" } ?? "was not tried") "
          + "(\((100 * (fast?.testAccuracy ?? 0)).fixed(1)) %); "
          + effect(defence, normal: normal, without: without))
    }
  }

  /// What a defence does where none is needed.
  private func effect(_ defence: StudiedDefence, normal: Double, without: Double) -> String {
    guard !defence.learnsFromFew else { return "it learns from fewer examples than the others" }
    let change = normal - without
    let words =
      change.magnitude < 0.01 ? "makes no clear difference" : change > 0 ? "gains" : "costs"
    return "at the normal rate it \(words): \((100 * normal).fixed(1)) % against "
      + "\((100 * without).fixed(1)) %"
  }

  /// Why thresholds that follow the norms they see do not hold a rate that is too high; nil in the
  /// form that leaves them out.
  var adaptive: StudyResult.Verdict? {
    guard let fixed = find(Group.fast, "clip by global norm"), let limit = fixed.firstClippedNorm,
      let auto = find(Group.fast, "AutoClip"), let autoNorm = auto.firstClippedNorm,
      let spikes = find(Group.fast, "ZClip")
    else { return nil }
    let survived = [auto, spikes].count { $0.outcome.kind == .survived }
    return .init(
      "a threshold that follows the norms avoids the explosion",
      survived == 2 ? .yes : survived == 1 ? .partly : .no,
      "no single gradient is too large here, every step is: in the first epoch the limit of 0.1 "
        + "leaves a median norm of \(limit.compact()), AutoClip's percentile of the norms so far "
        + "\(autoNorm.compact()), and steps are \((autoNorm / limit).fixed(0)) times as long; "
        + "ZClip, which looks for norms far above their mean, acts on "
        + "\((100 * spikes.engagementRate).fixed(1)) % of the steps. Both are "
        + "made for single spikes, such as the outlier of keel lab, where they help")
  }

  /// Adam divides gradients by their own size: a constant factor would not change its steps.
  var adam: StudyResult.Verdict {
    let clipped = find(Group.adam, "clip by global norm")
    let accuracy = clipped?.testAccuracy ?? 0
    let survives = clipped?.outcome.kind == .survived
    return .init(
      "clipping keeps Adam upright too", !survives ? .no : accuracy >= 0.9 ? .yes : .partly,
      "at a rate of 0.1 Adam \(clipped.map { "\($0.outcome)" } ?? "was not tried") "
        + "(\((100 * accuracy).fixed(1)) %) with clipping by global norm: it divides gradients by "
        + "their own size, so that a factor that all steps share changes nothing")
  }

  /// Numbers against what was expected.
  var measurements: [StudyResult.Measurement] {
    var rows: [StudyResult.Measurement] = []
    func row(_ what: String, _ expected: String, _ variant: StudyVariant?, survives: Bool) {
      guard let variant else { return }
      rows.append(
        .init(
          what, expected: expected,
          measured: "\(variant.outcome), \((100 * variant.testAccuracy).fixed(1)) %",
          holds: (variant.outcome.kind == .survived) == survives))
    }
    row("no defence, normal rate", "survives", find(Group.normal, "none"), survives: true)
    row("no defence, large rate", "fails", find(Group.fast, "none"), survives: false)
    row(
      "clip by global norm, large rate", "survives", find(Group.fast, "clip by global norm"),
      survives: true)
    row("Adam at 0.1, no defence", "fails", find(Group.adam, "none"), survives: false)
    return rows
  }

  /// Yes where it learns at the large rate, partly where most test examples stay wrong.
  private func support(_ defence: StudiedDefence) -> StudyResult.Support {
    guard let fast = find(Group.fast, defence.name), fast.outcome.kind == .survived else {
      return .no
    }
    return fast.testAccuracy >= 0.5 ? .yes : .partly
  }

  private func support(_ family: StudiedDefence.Family) -> StudyResult.Support {
    let found = tried.filter { $0.family == family }.map(support)
    if found.allSatisfy({ $0 == .yes }) { return .yes }
    return found.allSatisfy { $0 == .no } ? .no : .partly
  }

  private func find(_ group: String, _ name: String) -> StudyVariant? {
    variants.first { $0.group == group && $0.name == name }
  }
}
