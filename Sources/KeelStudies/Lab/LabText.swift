import KeelBackend

extension Lab.Result {
  /// The matrix: a row for each defence, a column for each catastrophe.
  package func table() -> String {
    var lines = [columns(0..<catastrophes.count)]
    // A terminal has about 100 columns.
    if lines[0].split(separator: "\n").contains(where: { $0.count > 118 }) {
      let half = (catastrophes.count + 1) / 2
      lines = [columns(0..<half), columns(half..<catastrophes.count)]
    }
    return lines.joined(separator: "\n\n")
  }

  private func columns(_ range: Range<Int>) -> String {
    let chosen = catastrophes[range]
    let widths =
      [max(7, defences.map(\.name.count).max() ?? 0)]
      + chosen.map { catastrophe in
        max(
          catastrophe.name.count,
          defences.map { cell(catastrophe.name, $0.name)?.text.count ?? 1 }.max() ?? 0)
      }
    func row(_ texts: [String]) -> String {
      var line = ""
      for (text, width) in zip(texts, widths) {
        line += text + String(repeating: " ", count: max(0, width - text.count) + 2)
      }
      while line.last == " " { line.removeLast() }
      return line
    }
    return
      ([["defence"] + chosen.map(\.name), widths.map { String(repeating: "-", count: $0) }]
      + defences.map { defence in
        [defence.name] + chosen.map { cell($0.name, defence.name)?.text ?? "-" }
      }).map(row).joined(separator: "\n")
  }

  /// What theory predicts beside what was measured.
  package func theoryTable() -> String {
    var table = TextTable("catastrophe", "quantity", ">theory", ">measured", "agree", "formula")
    for claim in claims {
      table.add(
        claim.catastrophe, claim.quantity, claim.predicted.compact(), claim.measured.compact(),
        claim.holds ? "yes" : "NO", claim.formula)
    }
    return table.render()
  }

  /// The catastrophes that explode without a defence and not with this one.
  package func helped(by defence: String) -> [String] {
    catastrophes.map(\.name).filter { name in
      cell(name, defence)?.verdict == .survived
        && cell(name, Defence.none.name)?.verdict != .survived
    }
  }

  /// A sentence or two for each defence on what it did.
  package func verdict(on defence: Defence) -> String {
    func names(_ verdict: LabVerdict) -> [String] {
      catastrophes.map(\.name).filter { cell($0, defence.name)?.verdict == verdict }
    }
    let tried = catastrophes.filter { catastrophe in
      cell(catastrophe.name, defence.name).map { $0.verdict != .notApplicable } ?? false
    }.count
    guard tried > 0 else { return "not tried on what this table shows." }
    let saved = names(.survived)
    var text =
      saved.isEmpty
      ? "saves none of \(tried)"
      : "saves \(saved.count) of \(tried): \(saved.joined(separator: ", "))"
    for (verdict, words) in [
      (LabVerdict.stalled, "keeps upright without learning"),
      (.stopped, "ends with an error instead of an explosion"),
      (.diverged, "does not prevent"),
    ] {
      let others = names(verdict)
      if !others.isEmpty { text += "; \(words): \(others.joined(separator: ", "))" }
    }
    return text + "."
  }

  /// Why defences do not apply, each reason once with its catastrophes.
  package func reasons() -> [(defence: String, reason: String, catastrophes: [String])] {
    var found: [(defence: String, reason: String, catastrophes: [String])] = []
    for cell in cells {
      guard let reason = cell.reason else { continue }
      if let place = found.firstIndex(where: { $0.defence == cell.defence && $0.reason == reason })
      {
        found[place].catastrophes.append(cell.catastrophe)
      } else {
        found.append((cell.defence, reason, [cell.catastrophe]))
      }
    }
    return found
  }
}
