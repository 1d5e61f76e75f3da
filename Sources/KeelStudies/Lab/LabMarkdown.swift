import KeelBackend

extension Lab.Result {
  /// The table as a page of documentation.
  package func markdown() -> String {
    func row(_ cells: [String]) -> String {
      "| "
        + cells.map { text in
          // A bar would end the cell.
          text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
        }.joined(separator: " | ") + " |"
    }
    func table(_ columns: [String], _ rows: [[String]]) -> [String] {
      [row(columns), "|" + String(repeating: " --- |", count: columns.count)] + rows.map(row)
    }
    var lines = [
      "# The explosion lab", "",
      "Written by `keel lab\(scale == .quick ? " --quick" : "") --seed \(seed) --out lab.md` on "
        + "the device `\(selector)`.", "",
      "\(catastrophes.count) small trainings that explode, "
        + "each met with every defence in its usual "
        + "setting: none is tuned to a catastrophe. `ok` and the final loss: the training reached "
        + "its goal. `stalled`: nothing exploded and nothing was learned. `diverged` and "
        + "`stopped` (by a policy): with the step.", "",
    ]
    lines += table(["catastrophe", "what happens"], catastrophes.map { [$0.name, $0.summary] })
    lines += ["", "## What became of each training", ""]
    lines += table(
      ["defence"] + catastrophes.map(\.name),
      defences.map { defence in
        [defence.name] + catastrophes.map { cell($0.name, defence.name)?.text ?? "-" }
      })
    lines += ["", "## Theory and measurement", ""]
    lines += table(
      ["catastrophe", "quantity", "theory", "measured", "agree", "formula"],
      claims.map { claim in
        [
          claim.catastrophe, claim.quantity, claim.predicted.compact(),
          claim.measured.compact(), claim.holds ? "yes" : "no", claim.formula,
        ]
      })
    lines += ["", "## The defences", ""]
    for defence in defences where defence.name != Defence.none.name {
      lines.append("- **\(defence.name)** (\(defence.summary)): \(verdict(on: defence))")
    }
    lines += ["", "## Where a defence does not apply", ""]
    for reason in reasons() {
      lines.append(
        "- \(reason.defence) on \(reason.catastrophes.joined(separator: ", ")): \(reason.reason).")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
