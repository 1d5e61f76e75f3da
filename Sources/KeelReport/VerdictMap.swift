/// Outcomes in rows and columns, each cell a colour for its kind and a text.
package struct VerdictMap: Figure {
  /// The kind of an outcome.
  package enum Tone: String, CaseIterable {
    case good = "survived"
    case neutral = "upright, nothing learned"
    case warning = "stopped by a policy"
    case bad = "exploded"
    case empty = "does not apply"
  }

  /// One outcome.
  package struct Cell {
    let tone: Tone
    let text: String

    package init(tone: Tone, text: String) {
      self.tone = tone
      self.text = text
    }
  }

  private static let width = 920.0
  private static let (top, rowHeight, bottom) = (58.0, 22.0, 40.0)
  private let title: String
  private let rows: [String]
  private let columns: [String]
  private let cells: [[Cell]]
  package let caption: String
  package let isWide = true

  package init(
    _ title: String, rows: [String], columns: [String], _ cells: [[Cell]], caption: String = ""
  ) {
    self.title = title
    self.rows = rows
    self.columns = columns
    self.cells = cells
    self.caption = caption
  }

  package var drawing: SVGDocument {
    let height = VerdictMap.top + VerdictMap.rowHeight * Double(rows.count) + VerdictMap.bottom
    var document = SVGDocument(width: VerdictMap.width, height: height, title: title)
    document.text(title, x: 8, y: 20, size: 15, isBold: true)
    let left = min(200, 20 + 7 * Double(rows.map(\.count).max() ?? 0))
    let cell = (VerdictMap.width - left - 8) / Double(max(columns.count, 1))
    for (number, name) in columns.enumerated() {
      document.text(
        name, x: left + cell * (Double(number) + 0.5), y: VerdictMap.top - 8, anchor: .middle,
        size: 12, fill: ReportStyle.faint)
    }
    for (row, name) in rows.enumerated() {
      let y = VerdictMap.top + VerdictMap.rowHeight * Double(row)
      document.text(name, x: left - 8, y: y + 15, anchor: .end, size: 12)
      guard row < cells.count else { continue }
      for (column, outcome) in cells[row].prefix(columns.count).enumerated() {
        let x = left + cell * Double(column)
        document.rectangle(
          x: x, y: y, width: cell - 2, height: VerdictMap.rowHeight - 2,
          fill: outcome.tone.color,
          tip: "\(name), \(columns[column]): \(outcome.tone.rawValue) \(outcome.text)")
        document.text(
          outcome.text, x: x + cell / 2 - 1, y: y + 15, anchor: .middle, size: 11,
          fill: outcome.tone.ink)
      }
    }
    var x = left
    for tone in Tone.allCases {
      document.rectangle(x: x, y: height - 24, width: 14, height: 14, fill: tone.color)
      document.text(tone.rawValue, x: x + 20, y: height - 13, size: 11, fill: ReportStyle.faint)
      x += 36 + 6.5 * Double(tone.rawValue.count)
    }
    return document
  }
}

extension VerdictMap.Tone {
  /// Colours that differ in brightness too, on light and dark grounds.
  fileprivate var color: String {
    switch self {
    case .good: "#2e8b57"
    case .neutral: "#c9b458"
    case .warning: "#8d7bb8"
    case .bad: "#b3261e"
    case .empty: ReportStyle.grid
    }
  }

  fileprivate var ink: String {
    switch self {
    case .neutral: "#111111"
    case .empty: ReportStyle.faint
    case .good, .warning, .bad: "#ffffff"
    }
  }
}
