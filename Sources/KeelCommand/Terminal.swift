import Glibc

/// Standard error, which shows progress and complaints, as against results on standard output.
enum Terminal {
  /// Whether somebody sees it as it is written.
  static let isTerminal = isatty(STDERR_FILENO) == 1

  /// Writes text as it is. What was printed so far comes first.
  static func write(_ text: String) {
    fflush(nil)
    _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
