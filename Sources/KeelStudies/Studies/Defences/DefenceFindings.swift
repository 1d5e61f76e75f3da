import KeelBackend

/// What the trainings of ``DefencesStudy`` say.
struct DefenceFindings {
  private typealias Group = DefencesStudy.Group
  private let variants: [StudyVariant]
  private let tried: [Defence]

  init(_ variants: [StudyVariant], _ defences: [Defence]) {
    self.variants = variants
    tried = defences.filter { $0.family != nil }
  }

  /// Whether every kind of defence avoids the failure, whichever of the kind one takes.
  var supports: StudyResult.Support {
    let found = Defence.Family.allCases.map(support)
    if found.allSatisfy({ $0 == .yes }) { return .yes }
    return found.allSatisfy { $0 == .no } ? .no : .partly
  }

  var sentence: String {
    func names(_ support: StudyResult.Support) -> String {
      let found = Defence.Family.allCases.filter { self.support($0) == support }.map(\.rawValue)
      return found.isEmpty ? "none" : found.joined(separator: ", ")
    }
    return "At a rate that makes the bare network fail, every form of these kept it upright: "
      + "\(names(.yes)); some forms of these: \(names(.partly)); no form of these: \(names(.no))."
  }

  /// A finding for each of the five kinds.
  var families: [StudyResult.Verdict] {
    Defence.Family.allCases.map { family in
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
      let change = 100 * (normal - without)
      let effect =
        change.magnitude < 0.5
        ? "costs nothing there" : change > 0 ? "gains there" : "costs there"
      return .init(
        defence.name, support(defence),
        "at the large rate it \(fast.map { "\($0.outcome)" } ?? "was not tried") with "
          + "\((100 * (fast?.testAccuracy ?? 0)).fixed(1)) %; \(effect): "
          + "\((100 * normal).fixed(1)) % at the normal rate against "
          + "\((100 * without).fixed(1)) % without it")
    }
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
    row(
      "Adam at 0.1, clipped: Adam's steps do not depend on the size of gradients", "fails",
      find(Group.adam, "clip by global norm"), survives: false)
    return rows
  }

  /// Yes where it learns at the large rate, partly where most test examples stay wrong.
  private func support(_ defence: Defence) -> StudyResult.Support {
    guard let fast = find(Group.fast, defence.name), fast.outcome.kind == .survived else {
      return .no
    }
    return fast.testAccuracy >= 0.5 ? .yes : .partly
  }

  private func support(_ family: Defence.Family) -> StudyResult.Support {
    let found = tried.filter { $0.family == family }.map(support)
    if found.allSatisfy({ $0 == .yes }) { return .yes }
    return found.allSatisfy { $0 == .no } ? .no : .partly
  }

  private func find(_ group: String, _ name: String) -> StudyVariant? {
    variants.first { $0.group == group && $0.name == name }
  }
}
