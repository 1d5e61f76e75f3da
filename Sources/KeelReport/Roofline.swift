import KeelBackend

/// Rates of cases over their operations per byte, under the two limits of a device: a case on the
/// slope is bound by memory, one on the flat part by arithmetic (Williams et al., 2009).
package struct Roofline: Figure {
  /// One case.
  package struct Point: Sendable {
    let name: String
    let flopsPerByte: Double
    let gigaflops: Double

    var family: String { String(name.prefix { $0 != "/" }) }

    package init(_ name: String, flopsPerByte: Double, gigaflops: Double) {
      self.name = name
      self.flopsPerByte = flopsPerByte
      self.gigaflops = gigaflops
    }
  }

  private static let (width, height) = (720.0, 460.0)
  private static let (left, top, right, bottom) = (64.0, 36.0, 190.0, 50.0)

  private let title: String
  private let gigaflops: Double
  private let gigabytesPerSecond: Double
  private let points: [Point]
  package let caption: String
  package let isWide = true

  /// - Parameters:
  ///   - gigaflops: 10^9 operations per second that the device can do at most.
  ///   - gigabytesPerSecond: 10^9 bytes per second that it can copy.
  package init(
    _ title: String, gigaflops: Double, gigabytesPerSecond: Double, _ points: [Point],
    caption: String = ""
  ) {
    self.title = title
    self.gigaflops = gigaflops
    self.gigabytesPerSecond = gigabytesPerSecond
    self.points = points.filter { $0.flopsPerByte > 0 && $0.gigaflops > 0 }
    self.caption = caption
  }

  package var drawing: SVGDocument {
    let (width, height) = (Roofline.width, Roofline.height)
    var document = SVGDocument(
      width: width, height: height, title: "\(title): rate over operations per byte")
    document.text(title, x: Roofline.left, y: 20, size: 15, isBold: true)
    guard !points.isEmpty else {
      document.text(
        "no case counts operations and bytes", x: Roofline.left, y: Roofline.top + 20,
        fill: ReportStyle.faint)
      return document
    }
    let ridge = gigaflops / gigabytesPerSecond
    let across = PlotScale(logarithmic: points.map(\.flopsPerByte) + [ridge])
    let up = PlotScale(
      logarithmic: points.map(\.gigaflops) + [gigaflops, across.low * gigabytesPerSecond])
    axes(&document, across, up)
    document.polyline(
      [
        spot(across.low, across.low * gigabytesPerSecond, across, up),
        spot(ridge, gigaflops, across, up), spot(across.high, gigaflops, across, up),
      ], stroke: ReportStyle.faint)
    families(&document, across, up)
    return document
  }

  private func spot(
    _ flopsPerByte: Double, _ rate: Double, _ across: PlotScale, _ up: PlotScale
  ) -> (Double, Double) {
    let width = Roofline.width - Roofline.left - Roofline.right
    let height = Roofline.height - Roofline.top - Roofline.bottom
    return (
      Roofline.left + across.place(flopsPerByte) * width,
      Roofline.top + (1 - up.place(rate)) * height
    )
  }

  private func axes(_ document: inout SVGDocument, _ across: PlotScale, _ up: PlotScale) {
    let (end, floor) = (Roofline.width - Roofline.right, Roofline.height - Roofline.bottom)
    for tick in up.ticks {
      let y = spot(across.low, tick, across, up).1
      document.line((Roofline.left, y), (end, y), stroke: ReportStyle.grid)
      document.text(
        up.label(tick), x: Roofline.left - 6, y: y + 4, anchor: .end, size: 12,
        fill: ReportStyle.faint)
    }
    for tick in across.ticks {
      let x = spot(tick, up.low, across, up).0
      document.line((x, Roofline.top), (x, floor), stroke: ReportStyle.grid)
      document.text(
        across.label(tick), x: x, y: floor + 18, anchor: .middle, size: 12,
        fill: ReportStyle.faint)
    }
    document.text(
      "operations per byte", x: (Roofline.left + end) / 2, y: floor + 38, anchor: .middle,
      fill: ReportStyle.faint)
    document.text("GFLOP/s", x: 4, y: Roofline.top - 4, size: 12, fill: ReportStyle.faint)
    document.text(
      "\(gigaflops.compact()) GFLOP/s", x: end + 6,
      y: spot(across.low, gigaflops, across, up).1 + 4, size: 12, fill: ReportStyle.faint)
    document.text(
      "\(gigabytesPerSecond.compact()) GB/s", x: Roofline.left + 8,
      y: spot(across.low, across.low * gigabytesPerSecond, across, up).1 - 8, size: 12,
      fill: ReportStyle.faint)
  }

  /// The points, one colour for each family of operations (the part of the name before `/`).
  private func families(_ document: inout SVGDocument, _ across: PlotScale, _ up: PlotScale) {
    var names: [String] = []
    for point in points where !names.contains(point.family) { names.append(point.family) }
    for (row, name) in names.enumerated() {
      let color = ReportStyle.series(row)
      let members = points.filter { $0.family == name }
      let spots = members.map { spot($0.flopsPerByte, $0.gigaflops, across, up) }
      document.dots(spots, radius: 4, color: color)
      for (point, spot) in zip(members, spots) {
        document.tip(
          "\(point.name): \(point.gigaflops.compact()) GFLOP/s", x: spot.0 - 5, y: spot.1 - 5,
          width: 10, height: 10)
      }
      let (x, y) = (Roofline.width - Roofline.right + 16, Roofline.top + 40 + 18 * Double(row))
      document.dots([(x, y - 4)], radius: 4, color: color)
      document.text(name, x: x + 10, y: y, size: 12)
    }
  }
}
