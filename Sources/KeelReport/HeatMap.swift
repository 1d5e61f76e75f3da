import Glibc
import KeelBackend

/// Numbers as colours in rows and columns, on a logarithmic scale; what is not finite stands out.
package struct HeatMap: Figure {
  /// What has a text under the pointer.
  package enum Tips {
    /// Each cell its number. Texts are then most of the file: of very many cells none has one, for
    /// nobody points at one of them.
    case cells
    /// Each row its smallest and its largest number: the file is several times smaller.
    case rows
  }

  private static let width = 920.0
  private static let (top, bottom) = (34.0, 58.0)
  private let title: String
  private let rows: [String]
  private let columns: [String]
  private let values: [[Double]]
  private let texts: [[String]]?
  private let across: String
  private let tips: Tips
  package let caption: String
  package let isWide = true

  /// - Parameters:
  ///   - columns: the name of each column; of many, some are shown.
  ///   - values: for each row, a number for each column; 0 counts as the smallest.
  ///   - texts: what stands in the cells, if anything.
  ///   - tips: whether cells or rows say their numbers when pointed at.
  package init(
    _ title: String, rows: [String], columns: [String], _ values: [[Double]],
    texts: [[String]]? = nil, across: String = "", tips: Tips = .cells, caption: String = ""
  ) {
    self.title = title
    self.rows = rows
    self.columns = columns
    self.values = values
    self.texts = texts
    self.across = across
    self.tips = tips
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
    let thickness = rowHeight - (rowHeight > 12 ? 1 : 0)
    for (row, name) in rows.enumerated() {
      let y = HeatMap.top + rowHeight * Double(row)
      document.text(
        String(name.suffix(32)), x: nameWidth - 6, y: y + rowHeight / 2 + 4, anchor: .end,
        size: rowHeight < 13 ? 9 : 12)
    }
    let places = Places(left: nameWidth, cell: cell, row: rowHeight, thickness: thickness)
    switch tips {
    case .cells: cells(&document, places, range)
    case .rows: bars(&document, places, range)
    }
    texts(&document, places, range)
    labels(&document, nameWidth, cell, y: HeatMap.top + rowHeight * Double(rows.count))
    legend(&document, range, y: height - 14, left: nameWidth)
    return document
  }

  /// Where cells stand.
  private struct Places {
    var left: Double
    var cell: Double
    var row: Double
    var thickness: Double

    func x(_ column: Int) -> Double { left + cell * Double(column) }
    func y(_ row: Int) -> Double { HeatMap.top + self.row * Double(row) }
    /// A hair wider than the cells: no ground shows between them.
    func width(_ cells: Int) -> Double { cell * Double(cells) + 0.3 }
  }

  /// The numbers of a row that have a column.
  private func numbers(_ row: Int) -> ArraySlice<Double> {
    row < values.count ? values[row].prefix(columns.count) : []
  }

  /// An element for each cell.
  private func cells(
    _ document: inout SVGDocument, _ places: Places, _ range: ClosedRange<Double>
  ) {
    let hasTips = rows.count * columns.count <= 4000
    for (row, name) in rows.enumerated() {
      for (column, value) in numbers(row).enumerated() {
        document.rectangle(
          x: places.x(column), y: places.y(row), width: places.width(1),
          height: places.thickness, fill: color(value, range),
          tip: hasTips ? "\(name), \(columns[column]): \(value.compact())" : nil)
      }
    }
  }

  /// An element for each colour, of which 64 are as good as all, and one for each row's tip.
  private func bars(
    _ document: inout SVGDocument, _ places: Places, _ range: ClosedRange<Double>
  ) {
    var order: [String] = []
    var bars: [String: [(x: Double, y: Double, width: Double)]] = [:]
    for row in rows.indices {
      var column = 0
      let colors = numbers(row).map { color($0, range, levels: 64) }
      while column < colors.count {
        let end = colors[column...].firstIndex { $0 != colors[column] } ?? colors.count
        if bars[colors[column]] == nil { order.append(colors[column]) }
        bars[colors[column], default: []].append(
          (places.x(column), places.y(row), places.width(end - column)))
        column = end
      }
    }
    for color in order {
      document.bars(bars[color] ?? [], height: places.thickness, color: color)
    }
    for (row, name) in rows.enumerated() {
      guard let first = numbers(row).first else { continue }
      let (low, high) = numbers(row).reduce((first, first)) { range, value in
        // What is not a number is the largest of all.
        (min(range.0, value), value.isNaN || range.1.isNaN ? .nan : max(range.1, value))
      }
      document.tip(
        "\(name): \(low.compact()) to \(high.compact())", x: places.left, y: places.y(row),
        width: places.width(numbers(row).count), height: places.thickness)
    }
  }

  private func texts(
    _ document: inout SVGDocument, _ places: Places, _ range: ClosedRange<Double>
  ) {
    guard let texts else { return }
    for row in rows.indices {
      for (column, value) in numbers(row).enumerated() {
        document.text(
          texts[row][column], x: places.x(column) + places.cell / 2, y: places.y(row) + 17,
          anchor: .middle, size: 11, fill: ink(value, range))
      }
    }
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

  /// - Parameter levels: how many different colours there may be; 0 for any number.
  private func color(
    _ value: Double, _ range: ClosedRange<Double>, levels: Double = 0
  ) -> String {
    guard value.isFinite else { return ReportStyle.bad }
    let exact = place(value, range)
    return HeatMap.ramp(levels > 1 ? (exact * (levels - 1)).rounded() / (levels - 1) : exact)
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
