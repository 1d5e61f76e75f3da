import FoundationEssentials
import KeelBackend
import KeelReport

extension Lab.Result {
  /// One cell in a file. Without losses and norms, whose last digits differ between devices.
  struct CellRecord: Codable {
    var catastrophe: String
    var defence: String
    var verdict: LabVerdict
    var failedAt: Int?
    var finalLoss: String?
    var largestNorm: String?
    var reason: String?
  }

  private struct ClaimRecord: Codable {
    var catastrophe: String
    var quantity: String
    var formula: String
    var predicted: String
    var measured: String?
    var holds: Bool
  }

  private struct File: Codable {
    var scale: StudyScale
    var seed: UInt64
    var device: String?
    /// The defences that save nothing that explodes without them.
    var savesNothing: [String]
    var theory: [ClaimRecord]
    var cells: [CellRecord]
  }

  /// The table as JSON.
  ///
  /// - Parameter onlyVerdicts: leaves out what differs between devices: losses, norms, the device.
  package func json(onlyVerdicts: Bool = false) -> String {
    let records = cells.map { cell in
      CellRecord(
        catastrophe: cell.catastrophe, defence: cell.defence, verdict: cell.verdict,
        failedAt: cell.failedAt,
        finalLoss: onlyVerdicts ? nil : cell.finalLoss.map { $0.compact() },
        largestNorm: onlyVerdicts ? nil : cell.largestNorm.map { $0.compact() },
        reason: cell.reason)
    }
    let theory = claims.map { claim in
      ClaimRecord(
        catastrophe: claim.catastrophe, quantity: claim.quantity, formula: claim.formula,
        predicted: claim.predicted.compact(),
        measured: onlyVerdicts && claim.tolerance > 0 ? nil : claim.measured.compact(),
        holds: claim.holds)
    }
    let file = File(
      scale: scale, seed: seed, device: onlyVerdicts ? nil : device,
      savesNothing: defences.map(\.name).filter { helped(by: $0).isEmpty }, theory: theory,
      cells: records)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(file) else {
      preconditionFailure("strings and integers can always be encoded")
    }
    return String(decoding: data, as: UTF8.self) + "\n"
  }

  /// The page.
  package func page() -> String {
    var page = Page(
      title: "The explosion lab",
      subtitle: "\(catastrophes.count) small trainings that explode, each met with every defence "
        + "in its usual setting. \(scale.rawValue) form, seed \(seed), \(device).")
    page.figures([
      VerdictMap(
        "What became of each training", rows: defences.map(\.name),
        columns: catastrophes.map(\.name),
        defences.map { defence in
          catastrophes.map { catastrophe in
            guard let cell = cell(catastrophe.name, defence.name) else {
              return VerdictMap.Cell(tone: .empty, text: "")
            }
            return VerdictMap.Cell(tone: cell.verdict.tone, text: cell.shortText)
          }
        },
        caption: "Numbers: the final loss where a training survived, the step at which it failed "
          + "where it did not.")
    ])
    page.heading("The catastrophes")
    page.table(["name", "what happens"], catastrophes.map { [$0.name, $0.summary] })
    page.heading("Theory and measurement")
    page.paragraph("What closed forms say about the trainings without a defence.")
    page.table(
      ["catastrophe", "quantity", ">theory", ">measured", "agree", "formula"],
      claims.map { claim in
        [
          claim.catastrophe, claim.quantity, claim.predicted.compact(),
          claim.measured.compact(), claim.holds ? "yes" : "no", claim.formula,
        ]
      })
    page.heading("The defences")
    for defence in defences where defence.name != Defence.none.name {
      page.verdict(
        "\(defence.name) (\(defence.summary)): \(verdict(on: defence))",
        helped(by: defence.name).isEmpty ? .bad : .good)
    }
    page.heading("Every training")
    page.table(
      ["catastrophe", "defence", "verdict", ">failed at step", ">final loss", ">largest norm"],
      cells.filter { $0.reason == nil }.map { cell in
        [
          cell.catastrophe, cell.defence, cell.verdict.rawValue,
          cell.failedAt.map { "\($0)" } ?? "", cell.finalLoss.map { $0.compact() } ?? "",
          cell.largestNorm.map { $0.compact() } ?? "",
        ]
      })
    page.heading("Where a defence does not apply")
    page.table(
      ["defence", "catastrophes", "reason"],
      reasons().map { [$0.defence, $0.catastrophes.joined(separator: ", "), $0.reason] })
    return page.html
  }
}

extension LabVerdict {
  fileprivate var tone: VerdictMap.Tone {
    switch self {
    case .survived: .good
    case .stalled: .neutral
    case .stopped: .warning
    case .diverged: .bad
    case .notApplicable: .empty
    }
  }
}

extension LabCell {
  /// What fits a cell of the map.
  fileprivate var shortText: String {
    switch verdict {
    case .survived: finalLoss.map { $0.compact() } ?? ""
    case .stalled: "stalled"
    case .diverged, .stopped: "step \(failedAt ?? 0)"
    case .notApplicable: "n/a"
    }
  }
}
