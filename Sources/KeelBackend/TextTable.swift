/// Rows of text under headings, aligned in columns for a terminal.
package struct TextTable {
  /// Where the text of a column stands.
  package enum Alignment: Sendable { case left, right }

  private var rows: [[String]]
  private let alignments: [Alignment]

  /// A table with one heading per column; a heading that starts with `>` is aligned right.
  package init(_ headings: String...) { self.init(headings) }

  /// A table with one heading per column; a heading that starts with `>` is aligned right.
  package init(_ headings: [String]) {
    alignments = headings.map { $0.hasPrefix(">") ? .right : .left }
    rows = [headings.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }]
  }

  /// Adds a row with one text per column.
  package mutating func add(_ row: String...) { add(row) }

  /// Adds a row with one text per column.
  package mutating func add(_ row: [String]) {
    precondition(row.count == alignments.count)
    rows.append(row)
  }

  /// The headings, a rule and the rows; two spaces between columns, none at line ends.
  package func render() -> String {
    let widths = alignments.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let rule = widths.map { String(repeating: "-", count: $0) }
    return ([rows[0], rule] + rows.dropFirst()).map { row in
      var line = ""
      for (column, text) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - text.count)
        line += alignments[column] == .right ? padding + text : text + padding
        line += "  "
      }
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}

extension Double {
  /// This number with a fixed count of digits after the point, such as `3.140`; `nan`, `inf`,
  /// `-inf`, and scientific form from 1e15 on.
  package func fixed(_ digits: Int) -> String {
    guard !isNaN else { return "nan" }
    guard isFinite, magnitude < 1e15 else { return "\(self)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (magnitude * scale).rounded()
    guard scaled < 0x1p63 else { return "\(self)" }
    var text = String(UInt64(scaled))
    if digits > 0 {
      while text.count <= digits { text = "0" + text }
      text.insert(".", at: text.index(text.endIndex, offsetBy: -digits))
    }
    return sign == .minus && scaled > 0 ? "-" + text : text
  }

  /// This number with about three significant digits, such as `0.00312`, `41.2` or `1.2e-07`.
  package func compact() -> String {
    guard !isNaN else { return "nan" }
    guard isFinite, self != 0 else { return self == 0 ? "0" : "\(self)" }
    switch magnitude {
    case 1000..<1e7: return fixed(0)
    case 100..<1000: return fixed(0)
    case 10..<100: return fixed(1)
    case 1..<10: return fixed(2)
    case 0.1..<1: return fixed(3)
    case 0.001..<0.1: return fixed(5)
    default: return scientific()
    }
  }

  /// Such as `1.24e-07`.
  private func scientific() -> String {
    var (mantissa, exponent) = (magnitude, 0)
    while mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 1 {
      mantissa *= 10
      exponent -= 1
    }
    // What two decimals round up to 10 is 1 of the next power; division loses a last digit.
    if mantissa >= 9.995 { (mantissa, exponent) = (1, exponent + 1) }
    let digits = String(exponent.magnitude)
    let power = (exponent < 0 ? "-" : "+") + (digits.count < 2 ? "0" : "") + digits
    return (sign == .minus ? "-" : "") + mantissa.fixed(2) + "e" + power
  }
}

extension Int {
  /// Bytes in a unit that fits, such as `1.5 GiB`.
  package var bytes: String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var (value, unit) = (Double(self), 0)
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(self) B" : "\(value.fixed(1)) \(units[unit])"
  }

  /// With a comma between groups of three digits, such as `692,352`.
  package var grouped: String {
    var digits = String(magnitude)
    var position = digits.count - 3
    while position > 0 {
      digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
      position -= 3
    }
    return (self < 0 ? "-" : "") + digits
  }
}
