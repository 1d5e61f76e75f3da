import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelBenchmarks

/// Times how long a new process of this program takes until it has trained one step of the digits
/// network at batch 32: without any compiled kernel, and with those of an earlier process.
struct StartBenchmark {
  /// What is compiled already when the process starts.
  enum Cache: String, CaseIterable {
    /// Nothing: the folders of Keel and of the driver are empty.
    case empty
    /// Everything that such a process has compiled before.
    case filled
  }

  static let all = Cache.allCases.map(StartBenchmark.init)
  private static let step = StepBenchmark(.digits, batch: 32)

  let cache: Cache

  /// `start/digits_batch32_empty_cache` or `start/digits_batch32_filled_cache`.
  var id: String { "start/digits_batch32_\(cache.rawValue)_cache" }

  /// - Parameters:
  ///   - options: how the process is to compute, as `keel bench` takes it.
  ///   - quick: one process in place of five.
  /// - Throws: where no process can be started, or one of them does not get to the step.
  func measure(with options: [String], quick: Bool) throws -> BenchmarkResult {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    if cache == .filled { _ = try seconds(options, cacheIn: folder.path + "/0") }
    let times = Samples(
      try (1...(quick ? 1 : 5)).map { run in
        try seconds(options, cacheIn: "\(folder.path)/\(cache == .filled ? 0 : run)")
      })
    return BenchmarkResult(start: id, milliseconds: times.median * 1e3, spread: times.spread)
  }

  /// Seconds from the start of a process to its line that the step is done.
  private func seconds(_ options: [String], cacheIn folder: String) throws -> Double {
    let start = ContinuousClock.now
    let process = try ChildProcess(
      ["bench", "--first-step"] + options,
      environment: ["KEEL_CACHE": folder, "POCL_CACHE_DIR": folder, "CUDA_CACHE_PATH": folder])
    while start.duration(to: .now) < .seconds(300) {
      switch process.nextLine(waiting: 1000) {
      case .text(let line):
        guard String(decoding: line, as: UTF8.self) == StartBenchmark.done else { continue }
        let end = ContinuousClock.now
        // Before it goes, it writes its compiled kernels down.
        guard process.finish() else { throw failure(process.end()) }
        return start.duration(to: end) / .seconds(1)
      case .none: continue
      case .end: throw failure(process.end())
      }
    }
    throw failure("it took over 300 s")
  }

  private func failure(_ reason: String) -> ExitStatus {
    ExitStatus(
      code: 1,
      message: "error: \(id) did not train its step: \(reason); 'keel bench --first-step' shows it")
  }

  private static let done = "the first step is done"

  /// What the new process does.
  static func takeFirstStep(on device: Device) throws {
    try step.step(on: device)()
    try device.synchronize()
    print(done)
    // Who started this process reads a pipe: without this the line waits for the end.
    fflush(nil)
  }
}

/// A new folder for files that are not kept.
private struct TemporaryFolder {
  let path: String

  init() throws {
    var template = Array((FileManager.default.temporaryDirectory.path + "/keel-XXXXXX").utf8CString)
    guard let made = mkdtemp(&template) else {
      throw ExitStatus.badInput(
        "no folder can be made in \(FileManager.default.temporaryDirectory.path): "
          + String(cString: strerror(errno)))
    }
    path = String(cString: made)
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}
