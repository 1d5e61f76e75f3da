import Glibc
import KeelBackend

/// Numbers as colours in rows and columns, on a logarithmic scale; what is not finite stands out.
package struct HeatMap: Figure {
  private static let width = 920.0
  private static let (top, bottom) = (34.0, 58.0)
  private let title: String
  private let rows: [String]
  private let columns: [String]
  private let values: [[Double]]
  private let texts: [[String]]?
  private let across: String
  package let caption: String
  package let isWide = true

  /// - Parameters:
  ///   - columns: the name of each column; of many, some are shown.
  ///   - values: for each row, a number for each column; 0 counts as the smallest.
  ///   - texts: what stands in the cells, if anything.
  package init(
    _ title: String, rows: [String], columns: [String], _ values: [[Double]],
    texts: [[String]]? = nil, across: String = "", caption: String = ""
  ) {
    self.title = title
    self.rows = rows
    self.columns = columns
    self.values = values
    self.texts = texts
    self.across = across
    self.caption = caption
  }

  package var drawing: SVGDocument {
    let rowHeight = texts == nil ? max(10, min(22, 360 / Double(max(rows.count, 1)))) : 26
    let height = HeatMap.top + rowHeight * Double(rows.count) + HeatMap.bottom
    var document = SVGDocument(width: HeatMap.width, height: height, title: title)
    document.text(title, x: 8, y: 20, size: 15, isBold: true)
    let nameWidth = min(230, 16 + 7 * Double(rows.map(\.count).max() ?? 0))
    let cell = (HeatMap.width - nameWidth - 10) / Double(max(columns.count, 1))
    let range = logarithmicRange
    // Texts under the pointer are most of the file; of very many cells nobody points at one.
    let hasTips = rows.count * columns.count <= 4000
    for (row, name) in rows.enumerated() {
      let y = HeatMap.top + rowHeight * Double(row)
      document.text(
        String(name.suffix(32)), x: nameWidth - 6, y: y + rowHeight / 2 + 4, anchor: .end,
        size: rowHeight < 13 ? 9 : 12)
      for column in columns.indices {
        guard row < values.count, column < values[row].count else { continue }
        let value = values[row][column]
        let x = nameWidth + cell * Double(column)
        // A hair wider than the cell: no ground shows between cells.
        document.rectangle(
          x: x, y: y, width: cell + 0.3, height: rowHeight - (rowHeight > 12 ? 1 : 0),
          fill: color(value, range),
          tip: hasTips ? "\(name), \(columns[column]): \(value.compact())" : nil)
        if let text = texts?[row][column] {
          document.text(
            text, x: x + cell / 2, y: y + 17, anchor: .middle, size: 11,
            fill: ink(value, range))
        }
      }
    }
    labels(&document, nameWidth, cell, y: HeatMap.top + rowHeight * Double(rows.count))
    legend(&document, range, y: height - 14, left: nameWidth)
    return document
  }

  private func labels(
    _ document: inout SVGDocument, _ left: Double, _ cell: Double, y: Double
  ) {
    let widest = 7.0 * Double((columns.map(\.count).max() ?? 1) + 2)
    let stride = max(1, Int((widest / cell).rounded(.up)))
    for column in Swift.stride(from: 0, to: columns.count, by: stride) {
      document.text(
        columns[column], x: left + cell * (Double(column) + 0.5), y: y + 15, anchor: .middle,
        size: 11, fill: ReportStyle.faint)
    }
    document.text(
      across, x: HeatMap.width - 10, y: y + 32, anchor: .end, size: 12, fill: ReportStyle.faint)
  }

  private func legend(
    _ document: inout SVGDocument, _ range: ClosedRange<Double>, y: Double, left: Double
  ) {
    for part in 0..<40 {
      document.rectangle(
        x: left + 4 * Double(part), y: y - 10, width: 4.3, height: 10,
        fill: HeatMap.ramp(Double(part) / 39))
    }
    document.text(
      "\(pow(10, range.lowerBound).compact()) to \(pow(10, range.upperBound).compact())",
      x: left + 168, y: y, size: 11, fill: ReportStyle.faint)
    document.rectangle(x: left + 330, y: y - 10, width: 14, height: 10, fill: ReportStyle.bad)
    document.text("not finite", x: left + 350, y: y, size: 11, fill: ReportStyle.faint)
  }

  private var logarithmicRange: ClosedRange<Double> {
    let logs = values.joined().filter { $0.isFinite && $0 > 0 }.map { log10($0) }
    guard let low = logs.min(), let high = logs.max() else { return 0...1 }
    return high - low < 1e-6 ? (low - 0.5)...(high + 0.5) : low...high
  }

  private func place(_ value: Double, _ range: ClosedRange<Double>) -> Double {
    guard value > 0 else { return 0 }
    return (log10(value) - range.lowerBound) / (range.upperBound - range.lowerBound)
  }

  private func color(_ value: Double, _ range: ClosedRange<Double>) -> String {
    value.isFinite ? HeatMap.ramp(place(value, range)) : ReportStyle.bad
  }

  private func ink(_ value: Double, _ range: ClosedRange<Double>) -> String {
    value.isFinite && place(value, range) > 0.55 ? "#111111" : "#ffffff"
  }

  /// From dark blue over green to yellow: brightness grows throughout, also in print.
  private static let anchors: [(Double, Double, Double)] = [
    (48, 18, 84), (49, 84, 140), (33, 145, 140), (94, 201, 98), (253, 231, 37),
  ]

  private static func ramp(_ place: Double) -> String {
    let scaled = min(max(place, 0), 1) * Double(anchors.count - 1)
    let index = min(Int(scaled), anchors.count - 2)
    let part = scaled - Double(index)
    let (a, b) = (anchors[index], anchors[index + 1])
    func mix(_ from: Double, _ to: Double) -> Int { Int((from + (to - from) * part).rounded()) }
    return "rgb(\(mix(a.0, b.0)),\(mix(a.1, b.1)),\(mix(a.2, b.2)))"
  }
}
