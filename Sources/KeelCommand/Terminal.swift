import Glibc

/// Standard error, which shows progress and complaints, as against results on standard output.
enum Terminal {
  /// Whether somebody sees it as it is written.
  static let isTerminal = isatty(STDERR_FILENO) == 1

  /// The length of a line.
  static var columns: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return .max }
    return Int(size.ws_col)
  }

  /// Writes text as it is. What was printed so far comes first.
  static func write(_ text: String) {
    fflush(nil)
    _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
