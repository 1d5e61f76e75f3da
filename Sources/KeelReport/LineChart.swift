import KeelBackend

/// Curves over a common axis.
package struct LineChart: Figure {
  /// One curve.
  package struct Series {
    package var name: String
    package var points: [(x: Double, y: Double)]
    package var isFaint = false
    package var isDashed = false
    /// The number of its colour; by default its place.
    package var color: Int?

    package init(
      _ name: String, _ points: [(x: Double, y: Double)], isFaint: Bool = false,
      isDashed: Bool = false, color: Int? = nil
    ) {
      self.name = name
      self.points = points
      self.isFaint = isFaint
      self.isDashed = isDashed
      self.color = color
    }
  }

  private static let width = 460.0
  private static let height = 320.0
  private static let (left, top, right, bottom) = (62.0, 64.0, 14.0, 48.0)
  private let title: String
  private let across: String
  private let series: [Series]
  private let bounds: ClosedRange<Double>
  private let isLogarithmic: Bool
  private let marks: [Double]
  private let includes: [Double]
  package let caption: String
  package let isWide = false

  /// - Parameters:
  ///   - across: the name of the horizontal axis.
  ///   - isLogarithmic: whether the vertical axis is; values of 0 or less are left out.
  ///   - includes: values that the vertical axis reaches in any case.
  ///   - marks: places on the horizontal axis that get a line from top to bottom.
  package init(
    _ title: String, across: String, _ series: [Series],
    bounds: ClosedRange<Double> = -1e300...1e300, isLogarithmic: Bool = false,
    includes: [Double] = [], marks: [Double] = [], caption: String = ""
  ) {
    self.title = title
    self.across = across
    self.bounds = bounds
    self.isLogarithmic = isLogarithmic
    self.includes = includes
    self.marks = marks
    self.caption = caption
    self.series = series.map { series in
      var series = series
      series.points = series.points.filter { point in
        point.x.isFinite && point.y.isFinite && (!isLogarithmic || point.y > 0)
      }
      return series
    }
  }

  package var drawing: SVGDocument {
    var document = SVGDocument(
      width: LineChart.width, height: LineChart.height, title: "\(title) over \(across)")
    document.text(title, x: LineChart.left, y: 20, size: 15, isBold: true)
    let points = series.flatMap(\.points)
    guard !points.isEmpty else {
      document.text("no values", x: LineChart.left, y: LineChart.top, fill: ReportStyle.faint)
      return document
    }
    let horizontal = PlotScale(points.map(\.x) + marks, bounds: -1e300...1e300)
    let vertical =
      isLogarithmic
      ? PlotScale(logarithmic: points.map(\.y))
      : PlotScale(points.map(\.y) + includes, bounds: bounds)
    axes(&document, horizontal, vertical)
    curves(&document, horizontal, vertical)
    legend(&document)
    return document
  }

  private func spot(
    _ point: (x: Double, y: Double), _ horizontal: PlotScale, _ vertical: PlotScale
  ) -> (Double, Double) {
    let width = LineChart.width - LineChart.left - LineChart.right
    let height = LineChart.height - LineChart.top - LineChart.bottom
    return (
      LineChart.left + horizontal.place(point.x) * width,
      LineChart.top + (1 - vertical.place(point.y)) * height
    )
  }

  private func axes(
    _ document: inout SVGDocument, _ horizontal: PlotScale, _ vertical: PlotScale
  ) {
    let (end, floor) = (LineChart.width - LineChart.right, LineChart.height - LineChart.bottom)
    for tick in vertical.ticks {
      let y = spot((horizontal.low, tick), horizontal, vertical).1
      document.line((LineChart.left, y), (end, y), stroke: ReportStyle.grid)
      document.text(
        vertical.label(tick), x: LineChart.left - 6, y: y + 4, anchor: .end, size: 12,
        fill: ReportStyle.faint)
    }
    for tick in horizontal.ticks {
      let x = spot((tick, vertical.low), horizontal, vertical).0
      document.line((x, floor), (x, floor + 4), stroke: ReportStyle.faint)
      document.text(
        horizontal.label(tick), x: x, y: floor + 18, anchor: .middle, size: 12,
        fill: ReportStyle.faint)
    }
    for mark in marks {
      let x = spot((mark, vertical.low), horizontal, vertical).0
      document.line((x, LineChart.top), (x, floor), stroke: ReportStyle.bad)
    }
    document.line((LineChart.left, floor), (end, floor), stroke: ReportStyle.faint)
    document.text(
      across, x: (LineChart.left + end) / 2, y: floor + 38, anchor: .middle,
      fill: ReportStyle.faint)
  }

  private func curves(
    _ document: inout SVGDocument, _ horizontal: PlotScale, _ vertical: PlotScale
  ) {
    for (number, curve) in series.enumerated() {
      let color = ReportStyle.series(curve.color ?? number)
      let spots = curve.points.map { spot($0, horizontal, vertical) }
      document.polyline(
        spots, stroke: color, width: curve.isFaint ? 1 : 2.2, opacity: curve.isFaint ? 0.45 : 1,
        isDashed: curve.isDashed)
      guard !curve.isFaint, spots.count <= 24 else { continue }
      document.dots(spots, radius: 3, color: color)
    }
  }

  /// Names beside pieces of their lines, in as many rows as they need.
  private func legend(_ document: inout SVGDocument) {
    var (x, y) = (LineChart.left, 40.0)
    for (number, curve) in series.enumerated() where !curve.points.isEmpty && !curve.name.isEmpty {
      let width = 34 + Double(curve.name.count) * 6.6
      if x + width > LineChart.width, x > LineChart.left { (x, y) = (LineChart.left, y + 14) }
      document.polyline(
        [(x, y - 4), (x + 20, y - 4)], stroke: ReportStyle.series(curve.color ?? number),
        width: curve.isFaint ? 1 : 2.2, opacity: curve.isFaint ? 0.6 : 1,
        isDashed: curve.isDashed)
      document.text(curve.name, x: x + 25, y: y, size: 12)
      x += width
    }
  }
}
