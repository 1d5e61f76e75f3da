import KeelBackend

/// What the trainings of ``InitialisationStudy`` say.
struct InitialisationFindings {
  private typealias Group = InitialisationStudy.Group

  /// First gradients between these are neither vanishing nor exploding.
  private static let bounded = 1e-3...1e2
  private let variants: [StudyVariant]

  init(_ variants: [StudyVariant]) { self.variants = variants }

  /// The claim as a whole: its first half needs both of its parts.
  var supports: StudyResult.Support {
    let parts = [startsBounded, staysBounded, articleUpdate].map(\.supports)
    if parts.allSatisfy({ $0 == .yes }) { return .yes }
    return parts.allSatisfy { $0 == .no } ? .no : .partly
  }

  var sentence: String {
    let start =
      startsBounded.supports == .yes
      ? "Good first weights give bounded gradients at the first step, where bad ones vanish or "
        + "explode"
      : "Good first weights did not give bounded gradients at the first step everywhere"
    let later =
      staysBounded.supports == .no
      ? "alone they do not keep them bounded: too large a learning rate undoes them"
      : "they also withstood too large a learning rate, at least in part"
    let update =
      articleUpdate.supports == .no
      ? "The article's update does harm: it makes all weights positive and forgets what was "
        + "learned."
      : "The article's update did no clear harm here."
    return "\(start); \(later). \(update)"
  }

  /// Part one: the first step.
  var startsBounded: StudyResult.Verdict {
    let good = InitialisationStudy.good.flatMap { name in
      [find(Group.convolutional, name), find(Group.deep, name)].compactMap { $0 }
    }
    let bad = [find(Group.deep, "normal 0.01"), find(Group.deep, "uniform, too large")]
      .compactMap { $0 }
    let goodHold = good.allSatisfy(isBounded)
    let badFail = bad.allSatisfy { !isBounded($0) && $0.outcome.kind != .survived }
    let norms = good.map(start)
    return .init(
      "bounded gradients at the start", goodHold && badFail ? .yes : goodHold ? .partly : .no,
      "the first layer's first gradient has a norm of \((norms.min() ?? 0).compact()) to "
        + "\((norms.max() ?? 0).compact()) "
        + "with He, orthogonal and LSUV; "
        + bad.map { "\(start($0).compact()) with \($0.name)" }.joined(separator: ", ")
        + " in 20 layers")
  }

  /// Part two: the steps that follow, with nothing else to bound them.
  var staysBounded: StudyResult.Verdict {
    let fast = variants.filter { $0.group == Group.fast }
    let survivors = fast.count { $0.outcome.kind == .survived }
    return .init(
      "bounded gradients throughout, by initialisation alone",
      survivors == 0 ? .no : survivors == fast.count ? .yes : .partly,
      "with a learning rate of 2: "
        + fast.map {
          "\($0.name) \($0.outcome), largest norm \($0.largestGradientNorm.compact())"
        }.joined(separator: "; "))
  }

  /// Part three: w = w · lr + 0.1 · U(0, 1).
  var articleUpdate: StudyResult.Verdict {
    verdict("the article's update helps", prefix: "article")
  }

  /// What is left of it with noise of mean 0.
  var recommendedUpdate: StudyResult.Verdict {
    verdict("shrink and perturb with noise of mean 0 helps", prefix: "recommended")
  }

  private func verdict(_ claim: String, prefix: String) -> StudyResult.Verdict {
    let without = find(Group.update, "without it")?.testAccuracy ?? 0
    let found = variants.filter {
      [Group.update, Group.deepUpdate].contains($0.group) && $0.name.hasPrefix(prefix)
    }
    let compared = found.filter { $0.group == Group.update }
    let better = compared.count { $0.testAccuracy > without + 0.005 }
    let worse = found.count { $0.outcome.kind != .survived || $0.testAccuracy < without - 0.005 }
    return .init(
      claim, better == 0 ? .no : worse == 0 ? .yes : .partly,
      "without it \((100 * without).fixed(1)) %; "
        + found.map {
          ($0.group == Group.deepUpdate ? "20 layers" : $0.name)
            + " \((100 * $0.testAccuracy).fixed(1)) % (\($0.outcome))"
        }.joined(separator: ", "))
  }

  /// Numbers against theory.
  var measurements: [StudyResult.Measurement] {
    var rows: [StudyResult.Measurement] = []
    if let zeros = find(Group.convolutional, "zeros") {
      rows.append(
        .init(
          "zeros: only the last bias gets a gradient", expected: "0 for every weight",
          measured: (zeros.trace.norms.compactMap(\.first).max() ?? .nan).compact(),
          holds: zeros.trace.norms.allSatisfy { $0.first == 0 }))
    }
    for name in ["He", "orthogonal", "LSUV"] {
      guard let deep = find(Group.deep, name) else { continue }
      rows.append(
        .init(
          "\(name): first gradient of the first of 20 layers", expected: "0.001 to 100",
          measured: start(deep).compact(), holds: isBounded(deep)))
    }
    if let small = find(Group.deep, "normal 0.01") {
      rows.append(
        .init(
          "normal 0.01: gradients vanish in 20 layers", expected: "first layer below 1e-6",
          measured: start(small).compact(), holds: start(small) < 1e-6))
    }
    if let article = find(Group.deepUpdate, "article"),
      let centred = find(Group.deepUpdate, "recommended")
    {
      rows.append(
        .init(
          "article's update in 20 layers of 64: positive weights multiply by 0.05 · 64 per layer",
          expected: "first gradients over 1e6 times those of noise of mean 0",
          measured:
            "\(article.firstGradientNorm.compact()) against \(centred.firstGradientNorm.compact())",
          holds: article.firstGradientNorm > 1e6 * centred.firstGradientNorm))
    }
    return rows
  }

  private func find(_ group: String, _ name: String) -> StudyVariant? {
    variants.first { $0.group == group && $0.name == name }
  }

  /// The norm of the first gradient of the first layer, which all others have acted upon.
  private func start(_ variant: StudyVariant) -> Double {
    variant.trace.norms.first?.first ?? .infinity
  }

  private func isBounded(_ variant: StudyVariant) -> Bool {
    Self.bounded.contains(start(variant))
  }
}
