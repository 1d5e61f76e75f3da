/// The colours and the layout of all pages and drawings, for light and dark grounds.
package enum ReportStyle {
  static let ink = "var(--ink)"
  static let faint = "var(--faint)"
  static let grid = "var(--grid)"
  static let ground = "var(--ground)"
  static let bad = "var(--bad)"

  /// The colours of curves in turn; they differ in brightness too.
  static func series(_ number: Int) -> String { "var(--c\(number % 6 + 1))" }

  /// What the names stand for.
  static let colors = """
    :root{--ink:#1c1c1c;--faint:#666;--grid:#e3e3e3;--ground:#fff;--panel:#f6f6f4;--bad:#c42b1c;\
    --good:#1a7f37;--c1:#1f6fb4;--c2:#d1622b;--c3:#2e8b57;--c4:#8a4fb5;--c5:#b8860b;--c6:#64748b}
    @media(prefers-color-scheme:dark){:root{--ink:#e8e8e6;--faint:#a3a3a0;--grid:#3a3a3a;\
    --ground:#161616;--panel:#222;--bad:#ff7b72;--good:#56d364;--c1:#6cb6ff;--c2:#f0883e;\
    --c3:#57c98a;--c4:#c9a0f0;--c5:#e3b341;--c6:#9aa7b8}}
    """

  static let page =
    colors + """

      *{box-sizing:border-box}
      body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
      main{max-width:1080px;margin:0 auto;padding:1.2rem 1rem 4rem}
      h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .4rem}
      p{max-width:46rem;margin:.5rem 0}.faint{color:var(--faint)}
      .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));\
      gap:1rem;margin-bottom:1rem}
      figure{margin:0;background:var(--panel);border-radius:6px;padding:.6rem}
      figure.wide{grid-column:1/-1;overflow-x:auto}figure.wide svg{min-width:640px}
      figcaption{color:var(--faint);font-size:.85rem}svg{display:block;width:100%;height:auto}
      .scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;margin:.6rem 0}
      th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--grid);\
      vertical-align:top}
      td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
      pre{background:var(--panel);padding:.7rem;border-radius:6px;overflow-x:auto;font-size:.85rem}
      .verdict{border-left:4px solid var(--faint);padding:.3rem .8rem;background:var(--panel);\
      max-width:46rem;margin:.6rem 0}
      .verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}

      """

  /// Text that may stand in a page.
  package static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "&": result += "&amp;"
      case "\"": result += "&quot;"
      default: result.append(character)
      }
    }
    return result
  }
}
