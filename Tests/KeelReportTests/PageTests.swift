import KeelReport
import Testing

/// Pages and plots: whole, without outside parts, and readable whatever they are given.
@Suite struct PageTests {
  private static let garbage: [Double] = [
    0, -1, 1, .nan, .infinity, -.infinity, 1e300, 1e-300, .leastNonzeroMagnitude,
  ]

  @Test(arguments: [false, true]) func chartsTakeAnyNumbers(_ isLogarithmic: Bool) {
    let points = Self.garbage.flatMap { x in Self.garbage.map { (x: x, y: $0) } }
    for some in [[], [points[0]], points] {
      let svg = LineChart(
        "any <numbers>", across: "x", [.init("a & b", some), .init("", [])],
        isLogarithmic: isLogarithmic
      ).svg
      #expect(svg.hasPrefix("<svg") && svg.hasSuffix("</svg>\n"))
      #expect(!svg.contains("nan") && !svg.contains("inf"))
      #expect(svg.contains("any &lt;numbers&gt;"))
      #expect(svg.count { $0 == "<" } == svg.count { $0 == ">" })
    }
  }

  @Test func heatMapsShowWhatIsNotFinite() {
    let svg = HeatMap(
      "norms", rows: ["a", "b"], columns: ["1", "2", "3"],
      [[1, .nan, 100], [0, -.infinity, 1e-3]]
    ).svg
    #expect(svg.count { $0 == "\n" } > 40)
    #expect(svg.split(separator: "fill:var(--bad)").count == 1 + 2 + 1)
    #expect(HeatMap("none", rows: [], columns: [], []).svg.contains("</svg>"))
  }

  /// With tips for rows a colour is one element, however many cells have it; nothing is lost.
  @Test func heatMapsOfRowsAreSmall() {
    let rows = (0..<30).map { "row \($0)" }
    var values = rows.indices.map { row in (0..<40).map { Double(1 + row + $0) } }
    values[3][5] = .nan
    values[4] = [2, 8]
    func svg(_ tips: HeatMap.Tips) -> String {
      HeatMap("norms", rows: rows, columns: (1...40).map { "\($0)" }, values, tips: tips).svg
    }
    let (small, large) = (svg(.rows), svg(.cells))
    #expect(small.utf8.count < large.utf8.count / 3)
    #expect(small.split(separator: "<path").count - 1 <= 65)
    #expect(small.contains("<title>row 0: 1.00 to 40.0</title>"))
    #expect(small.contains("<title>row 4: 2.00 to 8.00</title>"))
    #expect(small.split(separator: "stroke:var(--bad)").count == 2)
    #expect(small.count { $0 == "<" } == small.count { $0 == ">" })
  }

  @Test func pagesStandAlone() {
    var page = Page(title: "A <run>", subtitle: "one & two")
    page.heading("Numbers")
    page.table(["name", ">value"], [["x<y", "1"], ["z", "2"]])
    page.verdict("false", .bad)
    page.lines("a\n  b")
    page.figures([LineChart("loss", across: "step", [.init("a", [(0, 1), (1, 2)])])])
    let html = page.html
    #expect(html.hasPrefix("<!doctype html>") && html.hasSuffix("</html>\n"))
    #expect(!html.contains("<script") && !html.contains("src=") && !html.contains("@import"))
    #expect(html.contains("prefers-color-scheme:dark") && html.contains("width=device-width"))
    #expect(html.contains("<td>x&lt;y</td><td class=\"number\">1</td>"))
    #expect(html.contains("A &lt;run&gt;") && html.contains("verdict bad"))
    for tag in ["table", "figure", "svg", "main", "div", "pre"] {
      let opened = html.split(separator: "<\(tag)").count
      #expect(opened == html.split(separator: "</\(tag)>").count, "\(tag)")
    }
  }
}
