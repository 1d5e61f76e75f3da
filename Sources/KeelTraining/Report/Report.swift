import KeelBackend

/// A picture of a training: loss and accuracy over epochs, for training and validation.
public struct Report {
  private let history: History

  /// The picture of a history.
  public init(_ history: History) { self.history = history }

  private struct Curve {
    var name: String
    var color: String
    var points: [(x: Double, y: Double)]
    var isFaint = false
    var isDashed = false
  }

  private static let blue = "#1f6fb4"
  private static let orange = "#d1622b"
  private static let width = 920
  private static let height = 420

  /// The picture as an SVG file on a light ground.
  public var svg: String {
    var document = SVGDocument(width: Report.width, height: Report.height)
    document.rectangle(
      x: 0, y: 0, width: Double(Report.width), height: Double(Report.height), fill: "#ffffff")
    document.text("Training", x: 20, y: 30, size: 18, fill: "#111111", isBold: true)
    document.text(headline, x: 20, y: 52)
    panel(
      &document, left: 70, title: "loss", lossCurves, bounds: 0...Double.greatestFiniteMagnitude)
    panel(&document, left: 530, title: "accuracy", accuracyCurves, bounds: 0...1)
    return document.text
  }

  private var headline: String {
    guard let last = history.epochs.last else { return "\(history.steps.count) steps" }
    var text = "\(last.epoch) epochs, \(last.step) steps: loss \(last.loss.fixed(4))"
    if let accuracy = last.accuracy { text += ", accuracy \((100 * accuracy).fixed(2)) %" }
    if let loss = last.validationLoss { text += "; validation loss \(loss.fixed(4))" }
    if let accuracy = last.validationAccuracy {
      text += ", accuracy \((100 * accuracy).fixed(2)) %"
    }
    return text
  }

  private var lossCurves: [Curve] {
    [
      Curve(
        name: "each step", color: Report.blue, points: steps { Double($0.loss) }, isFaint: true),
      Curve(name: "training", color: Report.blue, points: epochs(\.loss)),
      Curve(
        name: "validation", color: Report.orange, points: epochs(\.validationLoss),
        isDashed: true),
    ]
  }

  private var accuracyCurves: [Curve] {
    [
      Curve(name: "training", color: Report.blue, points: epochs(\.accuracy)),
      Curve(
        name: "validation", color: Report.orange, points: epochs(\.validationAccuracy),
        isDashed: true),
    ]
  }

  private func epochs(_ value: (EpochRecord) -> Double?) -> [(x: Double, y: Double)] {
    history.epochs.compactMap { epoch in value(epoch).map { (Double(epoch.epoch), $0) } }
  }

  /// At most 400 points, each the mean of neighbours, at the place in the epoch they belong to.
  private func steps(_ value: (StepRecord) -> Double) -> [(x: Double, y: Double)] {
    let steps = history.steps
    guard let first = steps.first, let last = steps.last, steps.count > 1 else { return [] }
    let end = history.epochs.last.map { Double($0.epoch) } ?? Double(last.epoch)
    let start = Double(first.epoch - 1)
    let group = (steps.count + 399) / 400
    return stride(from: 0, to: steps.count, by: group).map { begin in
      let part = steps[begin..<min(begin + group, steps.count)]
      let mean = part.reduce(0) { $0 + value($1) } / Double(part.count)
      let middle = (Double(begin) + Double(part.count) / 2) / Double(steps.count)
      return (start + (end - start) * middle, mean)
    }
  }

  private func panel(
    _ document: inout SVGDocument, left: Double, title: String, _ all: [Curve],
    bounds: ClosedRange<Double>
  ) {
    let (top, width, height) = (96.0, 350.0, 260.0)
    let curves = all.filter { !$0.points.isEmpty }
    document.text(title, x: left, y: top - 14, size: 15, fill: "#111111", isBold: true)
    guard !curves.isEmpty else {
      document.text("no values", x: left, y: top + 20)
      return
    }
    let across = PlotScale(
      curves.flatMap { $0.points.map(\.x) }, bounds: 0...1e12, wholeNumbers: true)
    let up = PlotScale(curves.flatMap { $0.points.map(\.y) }, bounds: bounds)
    func spot(_ point: (x: Double, y: Double)) -> (Double, Double) {
      (left + across.place(point.x) * width, top + (1 - up.place(point.y)) * height)
    }
    for tick in up.ticks where tick <= up.high * (1 + 1e-9) {
      let y = spot((across.low, tick)).1
      document.line((left, y), (left + width, y), stroke: "#e4e4e4")
      document.text(up.label(tick), x: left - 8, y: y + 4, anchor: .end, size: 12)
    }
    for tick in across.ticks where tick <= across.high * (1 + 1e-9) {
      let x = spot((tick, up.low)).0
      document.line((x, top + height), (x, top + height + 5), stroke: "#888888")
      document.text(across.label(tick), x: x, y: top + height + 20, anchor: .middle, size: 12)
    }
    document.line((left, top + height), (left + width, top + height), stroke: "#888888")
    document.line((left, top), (left, top + height), stroke: "#888888")
    document.text("epoch", x: left + width / 2, y: top + height + 38, anchor: .middle)
    for curve in curves {
      document.polyline(
        curve.points.map(spot), stroke: curve.color, width: curve.isFaint ? 1 : 2.2,
        opacity: curve.isFaint ? 0.4 : 1, dash: curve.isDashed ? "7 4" : "none")
      if !curve.isFaint, curve.points.count <= 40 {
        for point in curve.points { document.circle(spot(point), radius: 3, fill: curve.color) }
      }
    }
    legend(&document, curves, right: left + width, y: top - 18)
  }

  /// Names beside pieces of their lines, from the right.
  private func legend(
    _ document: inout SVGDocument, _ curves: [Curve], right: Double, y: Double
  ) {
    var x = right
    for curve in curves.reversed() {
      x -= Double(curve.name.count) * 7
      document.text(curve.name, x: x, y: y + 4, size: 12)
      document.polyline(
        [(x - 28, y), (x - 6, y)], stroke: curve.color, width: curve.isFaint ? 1 : 2.2,
        opacity: curve.isFaint ? 0.4 : 1, dash: curve.isDashed ? "7 4" : "none")
      x -= 42
    }
  }
}
