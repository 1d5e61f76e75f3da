import Glibc
import KeelData

/// A process of this program with other arguments: its standard input and output are pipes to us,
/// its standard error is shut, and it is in a group of its own, so that Ctrl-C is for us alone.
final class ChildProcess {
  private let id: pid_t
  private let input: Int32
  private let output: Int32
  private var isGone = false
  private var status: Int32 = 0
  private var unread: [UInt8] = []

  /// What ``nextLine(waiting:)`` found.
  enum Line {
    case text([UInt8])
    /// Nothing has come in time.
    case none
    /// Nothing will come any more.
    case end
  }

  /// Starts the program.
  ///
  /// - Parameters:
  ///   - arguments: what follows the program's name.
  ///   - environment: variables that are added to ours, or take their place.
  init(_ arguments: [String], environment: [String: String] = [:]) throws {
    var (toChild, fromChild): ([Int32], [Int32]) = ([0, 0], [0, 0])
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else {
      throw ExitStatus(code: 1, message: "error: no pipe for a process: \(ChildProcess.reason())")
    }
    // The child gets copies under other numbers, and no end of its own pipes to keep open.
    for end in toChild + fromChild { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], STDOUT_FILENO)
    // Drivers and runtimes tell of a crash at length; who started the process tells it in a line.
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)
    var words = CStrings(["keel"] + arguments)
    defer { words.free() }
    var variables = CStrings(ChildProcess.variables(with: environment))
    defer { variables.free() }
    var id: pid_t = 0
    let status = posix_spawn(
      &id, "/proc/self/exe", &actions, &attributes, &words.pointers, &variables.pointers)
    close(toChild[0])
    close(fromChild[1])
    guard status == 0 else {
      close(toChild[1])
      close(fromChild[0])
      throw ExitStatus(
        code: 1, message: "error: a process does not start: \(ChildProcess.reason(status))")
    }
    (self.id, input, output) = (id, toChild[1], fromChild[0])
  }

  deinit { end() }

  /// Our environment with other values for some variables.
  private static func variables(with changes: [String: String]) -> [String] {
    var kept: [String] = []
    var next = environ
    while let variable = next.pointee {
      let text = String(cString: variable)
      if changes[String(text.prefix { $0 != "=" })] == nil { kept.append(text) }
      next += 1
    }
    return kept + changes.map { "\($0.key)=\($0.value)" }
  }

  /// Writes to its standard input; what it does not take is for ``nextLine(waiting:)`` to notice.
  func write(_ bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes { DataFile.writeAll($0, to: input) }
  }

  /// The next line of its standard output without its end, waiting up to so many milliseconds.
  func nextLine(waiting milliseconds: Int32) -> Line {
    var waited = false
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        defer { unread.removeFirst(end + 1) }
        return .text([UInt8](unread[..<end]))
      }
      guard !waited else { return .none }
      waited = true
      var ready = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      guard poll(&ready, 1, milliseconds) > 0 else { return .none }
      var bytes = [UInt8](repeating: 0, count: 1 << 16)
      let count = read(output, &bytes, bytes.count)
      if count < 0, errno == EINTR || errno == EAGAIN { return .none }
      guard count > 0 else { return .end }
      unread += bytes.prefix(count)
    }
  }

  /// Ends the process if it is still there, and says how it had ended.
  @discardableResult
  func end() -> String {
    if !isGone {
      close(input)
      // One that hangs in a driver listens to nothing else. If it is gone, this does nothing.
      kill(id, SIGKILL)
      wait()
    }
    return ending
  }

  /// Waits until the process is gone by itself, and says whether all went well.
  func finish() -> Bool {
    if !isGone {
      close(input)
      wait()
    }
    return status == 0
  }

  private func wait() {
    close(output)
    while waitpid(id, &status, 0) < 0 && errno == EINTR {}
    isGone = true
  }

  private var ending: String {
    let signal = status & 0x7f
    return signal == 0
      ? "its process ended with code \(status >> 8 & 0xff)"
      : "its process ended by signal \(signal) (\(String(cString: strsignal(signal))))"
  }

  private static func reason(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}

/// Texts as C takes them: an array of pointers that ends with none.
private struct CStrings {
  var pointers: [UnsafeMutablePointer<CChar>?]

  init(_ texts: [String]) { pointers = texts.map { strdup($0) } + [nil] }

  func free() { for pointer in pointers { Glibc.free(pointer) } }
}
