import FoundationEssentials
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
  private var process: ChildProcess?

  init(device: String) { self.device = device }

  /// Hands over a request and waits for the reply; starts the process where there is none.
  ///
  /// - Parameter isStopped: asked several times a second.
  func answer(
    to request: TuningRequest, seconds: Double, unless isStopped: () -> Bool
  ) throws -> Answer {
    let process =
      try self.process ?? ChildProcess(["tune", "--worker", "--device", device])
    self.process = process
    let line = [UInt8](try JSONEncoder().encode(request)) + [UInt8(ascii: "\n")]
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(seconds)
    process.write(line)
    while true {
      switch process.nextLine(waiting: 100) {
      case .text(let text):
        // Drivers print lines of their own.
        if let reply = try? JSONDecoder().decode(TuningReply.self, from: Data(text)) {
          return .reply(reply)
        }
      case .none:
        guard isStopped() || clock.now >= deadline else { continue }
        self.process = nil
        return .stopped
      case .end:
        self.process = nil
        return .died(process.end())
      }
    }
  }
}
