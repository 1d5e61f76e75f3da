import KeelBackend

/// A line at the bottom of the terminal that says how far long work is. Nothing where standard
/// error is not a terminal.
final class ProgressLine {
  private var total: Int
  private let label: String
  private var done = 0

  init(total: Int, label: String) {
    self.total = total
    self.label = label
  }

  /// Shows the next piece of work.
  func advance(_ text: String) {
    show(done + 1, text)
  }

  /// Shows how much is done of a total that may be another than before.
  func show(_ amount: Int, of total: Int, _ text: String) {
    self.total = total
    show(amount, text)
  }

  /// Shows how much of the total is done.
  func show(_ amount: Int, _ text: String) {
    done = amount
    guard Terminal.isTerminal else { return }
    let width = 20
    let filled = total == 0 ? width : width * done / total
    let bar =
      String(repeating: "=", count: filled) + String(repeating: " ", count: width - filled)
    let line = "\(label) [\(bar)] \(done)/\(total) \(text)"
    // A line that wraps cannot be drawn over.
    Terminal.write("\r\u{1B}[K" + line.prefix(Terminal.columns - 1))
  }

  /// Prints a line above.
  func print(_ text: String) {
    clear()
    Swift.print(text)
  }

  /// Removes the line.
  func clear() {
    if Terminal.isTerminal { Terminal.write("\r\u{1B}[K") }
  }
}
