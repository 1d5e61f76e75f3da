import FoundationEssentials
import Glibc
import KeelData
import KeelOpenCL

/// A process of this program that checks and times candidates, so that one which crashes or hangs a
/// driver takes nothing down but this process.
///
/// A request is a line of JSON on its standard input, a reply a line on its standard output.
final class WorkerProcess {
  /// How a request ended.
  enum Answer {
    case reply(TuningReply)
    /// The process is gone: why.
    case died(String)
    /// The time was up, or the user does not want to wait; the process was ended.
    case stopped
  }

  private let device: String
  private var process: (id: pid_t, input: Int32, output: Int32)?
  private var unread: [UInt8] = []

  init(device: String) { self.device = device }

  deinit { end() }

  /// Hands over a request and waits for the reply; starts the process where there is none.
  ///
  /// - Parameter isStopped: asked several times a second.
  func answer(
    to request: TuningRequest, seconds: Double, unless isStopped: () -> Bool
  ) throws -> Answer {
    if process == nil { process = try start() }
    let line = [UInt8](try JSONEncoder().encode(request)) + [UInt8(ascii: "\n")]
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(seconds)
    if let process { _ = line.withUnsafeBytes { DataFile.writeAll($0, to: process.input) } }
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        let text = Data(unread[..<end])
        unread.removeFirst(end + 1)
        // Drivers print lines of their own.
        if let reply = try? JSONDecoder().decode(TuningReply.self, from: text) {
          return .reply(reply)
        }
        continue
      }
      if isStopped() || clock.now >= deadline {
        end()
        return .stopped
      }
      if !receive() { return .died(end()) }
    }
  }

  /// Reads what has come, waiting a moment; false where nothing can come any more.
  private func receive() -> Bool {
    guard let process else { return false }
    var ready = pollfd(fd: process.output, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, 100) > 0 else { return true }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(process.output, &bytes, bytes.count)
    if count < 0 { return errno == EINTR || errno == EAGAIN }
    unread += bytes.prefix(count)
    return count > 0
  }

  private func start() throws -> (id: pid_t, input: Int32, output: Int32) {
    var (toWorker, fromWorker): ([Int32], [Int32]) = ([0, 0], [0, 0])
    guard pipe(&toWorker) == 0, pipe(&fromWorker) == 0 else {
      throw ExitStatus(code: 1, message: "error: no pipe for the worker: \(reason(errno))")
    }
    // The worker gets copies under other numbers, and no end of its own pipes to keep open.
    for end in toWorker + fromWorker { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toWorker[0], STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, fromWorker[1], STDOUT_FILENO)
    // Drivers and runtimes tell of a crash at length; the session tells it in a line.
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
    // A group of its own: Ctrl-C is for the session, which ends the worker itself.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)
    let arguments = ["keel", "tune", "--worker", "--device", device]
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    var id: pid_t = 0
    let status = posix_spawn(&id, "/proc/self/exe", &actions, &attributes, &pointers, environ)
    close(toWorker[0])
    close(fromWorker[1])
    guard status == 0 else {
      close(toWorker[1])
      close(fromWorker[0])
      throw ExitStatus(code: 1, message: "error: the worker does not start: \(reason(status))")
    }
    unread = []
    return (id, toWorker[1], fromWorker[0])
  }

  /// Ends the process and says how it had ended.
  @discardableResult
  private func end() -> String {
    guard let process else { return "it was not there" }
    self.process = nil
    close(process.input)
    // One that hangs in a driver listens to nothing else. If it is gone already, this does nothing.
    kill(process.id, SIGKILL)
    close(process.output)
    var status: Int32 = 0
    while waitpid(process.id, &status, 0) < 0 && errno == EINTR {}
    let signal = status & 0x7f
    return signal == 0
      ? "its process ended with code \(status >> 8 & 0xff)"
      : "its process ended by signal \(signal) (\(String(cString: strsignal(signal))))"
  }

  private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
