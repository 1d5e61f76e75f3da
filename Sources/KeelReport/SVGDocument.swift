import KeelBackend

/// A drawing as SVG text, with as few elements as plots need. Colours are names of ``ReportStyle``,
/// so that a page in the dark shows it in the dark.
package struct SVGDocument {
  enum Anchor: String { case start, middle, end }

  /// The size of a text that asks for no other.
  static let textSize = 13

  private let width: Double
  private let height: Double
  private let title: String
  private var elements: [String] = []

  /// - Parameter title: what the drawing shows, for those who do not see it.
  init(width: Double, height: Double, title: String) {
    self.width = width
    self.height = height
    self.title = title
  }

  mutating func rectangle(
    x: Double, y: Double, width: Double, height: Double, fill: String, tip: String? = nil
  ) {
    let start =
      "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\" "
      + "height=\"\(number(height))\" style=\"fill:\(fill)\""
    elements.append(
      tip.map { "\(start)><title>\(ReportStyle.escaped($0))</title></rect>" } ?? start + "/>")
  }

  /// Bars of one height and one colour as one element, however many they are.
  ///
  /// - Parameter bars: the upper left corner and the width of each.
  mutating func bars(
    _ bars: [(x: Double, y: Double, width: Double)], height: Double, color: String
  ) {
    let text = bars.map { "M\(number($0.x)) \(number($0.y + height / 2))h\(number($0.width))" }
    elements.append(
      "<path d=\"\(text.joined())\" stroke-width=\"\(number(height))\" "
        + "style=\"stroke:\(color)\"/>")
  }

  /// A place without colour that has a text under the pointer.
  mutating func tip(_ text: String, x: Double, y: Double, width: Double, height: Double) {
    rectangle(x: x, y: y, width: width, height: height, fill: "transparent", tip: text)
  }

  mutating func line(_ from: (Double, Double), _ to: (Double, Double), stroke: String) {
    elements.append(
      "<line x1=\"\(number(from.0))\" y1=\"\(number(from.1))\" x2=\"\(number(to.0))\" "
        + "y2=\"\(number(to.1))\" style=\"stroke:\(stroke)\"/>")
  }

  mutating func polyline(
    _ points: [(Double, Double)], stroke: String, width: Double = 2, opacity: Double = 1,
    isDashed: Bool = false
  ) {
    let text = points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
    elements.append(
      "<polyline points=\"\(text)\" fill=\"none\" style=\"stroke:\(stroke)\" "
        + "stroke-width=\"\(number(width))\""
        + (opacity == 1 ? "" : " stroke-opacity=\"\(number(opacity))\"")
        + (isDashed ? " stroke-dasharray=\"6 4\"" : "") + "/>")
  }

  /// Round dots of one colour as one element: lines of no length with round ends.
  mutating func dots(_ centers: [(Double, Double)], radius: Double, color: String) {
    guard !centers.isEmpty else { return }
    let text = centers.map { "M\(number($0.0)) \(number($0.1))h0" }.joined()
    elements.append(
      "<path d=\"\(text)\" stroke-linecap=\"round\" stroke-width=\"\(number(2 * radius))\" "
        + "style=\"stroke:\(color)\"/>")
  }

  mutating func text(
    _ text: String, x: Double, y: Double, anchor: Anchor = .start, size: Int = SVGDocument.textSize,
    fill: String = ReportStyle.ink, isBold: Bool = false
  ) {
    elements.append(
      "<text x=\"\(number(x))\" y=\"\(number(y))\""
        + (anchor == .start ? "" : " text-anchor=\"\(anchor.rawValue)\"")
        + (size == SVGDocument.textSize ? "" : " font-size=\"\(size)\"")
        + (fill == ReportStyle.ink ? "" : " style=\"fill:\(fill)\"")
        + (isBold ? " font-weight=\"bold\"" : "") + ">\(ReportStyle.escaped(text))</text>")
  }

  /// The element, to stand in a page.
  var element: String { opened("") }

  /// The file, with its own colours.
  var file: String { opened("<style>\(ReportStyle.colors)</style>\n") }

  private func opened(_ style: String) -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" "
      + "viewBox=\"0 0 \(number(width)) \(number(height))\" "
      + "font-family=\"system-ui, sans-serif\" font-size=\"\(SVGDocument.textSize)\" "
      + "stroke-linejoin=\"round\" style=\"fill:\(ReportStyle.ink)\">\n"
      + "<title>\(ReportStyle.escaped(title))</title>\n" + style
      + elements.joined(separator: "\n") + "\n</svg>\n"
  }

  /// One decimal, which is less than a point on a screen; what is not finite would make the file
  /// invalid.
  private func number(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let text = value.fixed(1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
