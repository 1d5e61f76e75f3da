/// A page of results: one HTML file without scripts or other files, for phones and desktops, light
/// and dark.
package struct Page {
  /// How a verdict stands out.
  package enum Tone: String { case good, bad, neutral }

  private let title: String
  private var body: [String] = []

  /// - Parameter subtitle: what the page is about, in a sentence.
  package init(title: String, subtitle: String) {
    self.title = title
    body.append("<h1>\(ReportStyle.escaped(title))</h1>")
    body.append("<p class=\"faint\">\(ReportStyle.escaped(subtitle))</p>")
  }

  /// Begins a section.
  package mutating func heading(_ text: String) {
    body.append("<h2>\(ReportStyle.escaped(text))</h2>")
  }

  /// Adds sentences.
  package mutating func paragraph(_ text: String) {
    body.append("<p>\(ReportStyle.escaped(text))</p>")
  }

  /// Adds sentences that stand out.
  package mutating func verdict(_ text: String, _ tone: Tone) {
    body.append("<p class=\"verdict \(tone.rawValue)\">\(ReportStyle.escaped(text))</p>")
  }

  /// Adds lines that stay as they are.
  package mutating func lines(_ text: String) {
    body.append("<pre>\(ReportStyle.escaped(text))</pre>")
  }

  /// Adds a table; columns whose title begins with `>` are numbers, and right-aligned.
  package mutating func table(_ columns: [String], _ rows: [[String]]) {
    let classes = columns.map { $0.hasPrefix(">") ? " class=\"number\"" : "" }
    func row(_ cells: [String], _ tag: String) -> String {
      let parts = zip(cells, classes).map { cell, style in
        "<\(tag)\(style)>\(ReportStyle.escaped(cell))</\(tag)>"
      }
      return "<tr>\(parts.joined())</tr>"
    }
    let titles = columns.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }
    body.append(
      "<div class=\"scroll\"><table><thead>\(row(titles, "th"))</thead><tbody>"
        + rows.map { row($0, "td") }.joined(separator: "\n") + "</tbody></table></div>")
  }

  /// Adds plots, as many beside each other as there is room for.
  package mutating func figures(_ figures: [any Figure]) {
    let parts = figures.map { figure in
      "<figure\(figure.isWide ? " class=\"wide\"" : "")>\(figure.drawing.element)"
        + "<figcaption>\(ReportStyle.escaped(figure.caption))</figcaption></figure>"
    }
    body.append("<div class=\"figures\">\(parts.joined(separator: "\n"))</div>")
  }

  /// The file.
  package var html: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(ReportStyle.escaped(title))</title>
    <style>
    \(ReportStyle.page)</style></head><body><main>
    \(body.joined(separator: "\n"))
    </main></body></html>

    """
  }
}

/// A plot.
package protocol Figure {
  /// The plot.
  var drawing: SVGDocument { get }
  /// What it shows, in a sentence; may be empty.
  var caption: String { get }
  /// Whether it takes the whole width of a page.
  var isWide: Bool { get }
}

extension Figure {
  /// The plot as a file of its own.
  package var svg: String { drawing.file }
}
