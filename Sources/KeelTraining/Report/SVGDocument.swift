import KeelBackend

/// A drawing as SVG text, with as few elements as plots need.
struct SVGDocument {
  enum Anchor: String { case start, middle, end }

  private let width: Int
  private let height: Int
  private var elements: [String] = []

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  mutating func rectangle(
    x: Double, y: Double, width: Double, height: Double, fill: String, stroke: String = "none"
  ) {
    elements.append(
      "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\" "
        + "height=\"\(number(height))\" fill=\"\(fill)\" stroke=\"\(stroke)\"/>")
  }

  mutating func line(_ from: (Double, Double), _ to: (Double, Double), stroke: String) {
    elements.append(
      "<line x1=\"\(number(from.0))\" y1=\"\(number(from.1))\" x2=\"\(number(to.0))\" "
        + "y2=\"\(number(to.1))\" stroke=\"\(stroke)\"/>")
  }

  mutating func polyline(
    _ points: [(Double, Double)], stroke: String, width: Double = 2, opacity: Double = 1,
    dash: String = "none"
  ) {
    let text = points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
    elements.append(
      "<polyline points=\"\(text)\" fill=\"none\" stroke=\"\(stroke)\" "
        + "stroke-width=\"\(number(width))\" stroke-opacity=\"\(number(opacity))\" "
        + "stroke-dasharray=\"\(dash)\" stroke-linejoin=\"round\"/>")
  }

  mutating func circle(_ center: (Double, Double), radius: Double, fill: String) {
    elements.append(
      "<circle cx=\"\(number(center.0))\" cy=\"\(number(center.1))\" r=\"\(number(radius))\" "
        + "fill=\"\(fill)\"/>")
  }

  mutating func text(
    _ text: String, x: Double, y: Double, anchor: Anchor = .start, size: Int = 13,
    fill: String = "#333333", isBold: Bool = false
  ) {
    let escaped = text.map { character in
      switch character {
      case "<": "&lt;"
      case ">": "&gt;"
      case "&": "&amp;"
      default: String(character)
      }
    }.joined()
    elements.append(
      "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor.rawValue)\" "
        + "font-size=\"\(size)\" fill=\"\(fill)\" font-weight=\"\(isBold ? "bold" : "normal")\">"
        + "\(escaped)</text>")
  }

  /// The file.
  var text: String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(height)\" "
      + "width=\"\(width)\" height=\"\(height)\" font-family=\"system-ui, sans-serif\">\n"
      + elements.joined(separator: "\n") + "\n</svg>\n"
  }

  /// Two decimals; what is not finite would make the file invalid.
  private func number(_ value: Double) -> String { value.isFinite ? value.fixed(2) : "0" }
}
