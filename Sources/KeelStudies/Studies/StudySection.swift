import KeelBackend
package import KeelReport

/// A part of a study's page: a table and plots of its own, beside those of the variants.
package struct StudySection: Hashable, Sendable, Codable {
  /// Curves over a common axis.
  package struct Chart: Hashable, Sendable, Codable {
    package var title: String
    package var across: String
    package var caption: String
    package var curves: [Curve]

    /// Curves with the name of their axis.
    package init(_ title: String, across: String, _ curves: [Curve], caption: String = "") {
      self.title = title
      self.across = across
      self.curves = curves
      self.caption = caption
    }
  }

  /// One curve.
  package struct Curve: Hashable, Sendable, Codable {
    package var name: String
    package var x: [Double]
    package var y: [Double]
    package var isDashed = false

    package init(_ name: String, _ points: [(x: Double, y: Double)], isDashed: Bool = false) {
      self.name = name
      x = points.map(\.x)
      y = points.map(\.y.fourDigits)
      self.isDashed = isDashed
    }
  }

  /// Its heading, which is the name of the group of variants that it is about, if it is.
  package var title: String
  package var text: String
  /// Columns whose title begins with `>` are numbers.
  package var columns: [String]
  package var rows: [[String]]
  /// The vertical axis of all is logarithmic.
  package var charts: [Chart]

  package init(
    title: String, text: String, columns: [String] = [], rows: [[String]] = [],
    charts: [Chart] = []
  ) {
    self.title = title
    self.text = text
    self.columns = columns
    self.rows = rows
    self.charts = charts
  }

  /// Adds it to a page.
  package func add(to page: inout Page) {
    page.heading(title)
    page.paragraph(text)
    if !rows.isEmpty { page.table(columns, rows) }
    page.figures(
      charts.map { chart in
        LineChart(
          chart.title, across: chart.across,
          chart.curves.enumerated().map { place, curve in
            .init(
              curve.name, zip(curve.x, curve.y).map { ($0, $1) }, isDashed: curve.isDashed,
              color: place % 6)
          }, isLogarithmic: true, caption: chart.caption)
      })
  }
}
