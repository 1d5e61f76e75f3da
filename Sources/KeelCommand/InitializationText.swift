import Keel
import KeelBackend
import KeelStability

extension InitializationMethod {
  /// Such as `LSUV: variance of 3 layers 0.0213 to 3.41, now 0.98 to 1.02, in at most 3 tries`.
  func text(_ report: LSUVReport) -> String {
    let before = report.layers.map { Double($0.varianceBefore) }
    let after = report.layers.map { Double($0.varianceAfter) }
    let tries = report.layers.map(\.tries).max() ?? 0
    var text =
      "LSUV: variance of \(report.layers.count) layers \(range(before)), now "
      + "\(range(after)), after at most \(tries) tries"
    if !report.isConverged { text += "; not yet within \(report.tolerance) of 1" }
    if !report.untouched.isEmpty {
      text += "; not of this kind and left: \(report.untouched.joined(separator: ", "))"
    }
    return text
  }

  /// Such as `Fixup: 8 residual branches times 0.354, their last weights and dense1.weight 0`.
  func text(_ report: FixupReport) -> String {
    let scales = report.branches.map(\.scale)
    return "Fixup: \(report.branches.count) residual branches times \(range(scales)), their last "
      + "weights " + (report.classifier.map { "and \($0) " } ?? "") + "0"
  }

  /// Such as `muP: dense1.weight input, deviation 0.0357, rate x 1; …`.
  func text(_ report: MuPReport) -> String {
    let weights = report.entries.filter { $0.role != .vector }
    let shown = weights.prefix(4).map { entry in
      "\(entry.name) \(entry.role.rawValue), deviation \(entry.deviation.compact()), "
        + "rate x \(Double(entry.learningRateScale).compact())"
    }
    let rest = weights.count - shown.count
    return "muP: " + (shown + (rest > 0 ? ["\(rest) more weights"] : [])).joined(separator: "; ")
  }

  /// Such as `GradInit: scales 0.76 to 1.3; loss after one step 2.31 -> 2.28, |g| 1.2 -> 0.98`.
  func text(_ report: GradInitReport) -> String {
    let (before, after) = (report.before, report.after)
    return "GradInit: scales \(range(Array(report.scales.values))); loss after one step "
      + "\(before.loss.compact()) -> \(after.loss.compact()), "
      + "|g| \(before.gradientNorm.compact()) -> \(after.gradientNorm.compact())"
  }

  private func range(_ values: [Double]) -> String {
    guard let low = values.min(), let high = values.max() else { return "none" }
    let texts = [low, high].map { abs($0 - 1) < 0.1 ? $0.fixed(3) : $0.compact() }
    return texts[0] == texts[1] ? texts[0] : texts.joined(separator: " to ")
  }
}
