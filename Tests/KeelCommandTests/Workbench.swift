import Foundation
import Testing

/// How a run of the program ended and what it said.
struct Outcome {
  let status: Int32
  let output: String
  let complaint: String

  /// Everything, for the message of a failed test.
  var transcript: String { "exit \(status)\n\(output)\n\(complaint)" }
}

/// A folder of its own to run the program in, removed with it.
final class Workbench {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "keel-command-" + UUID().uuidString
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch { fatalError("\(error)") }
  }

  deinit {
    for folder in [path, driverCache] { try? FileManager.default.removeItem(atPath: folder) }
  }

  /// Where PoCL keeps compiled kernels: it can abort when two processes share the folder.
  private var driverCache: String { path + "-pocl" }

  /// The program, which lies beside the tests.
  static let program: String = {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("keel")
      .path
  }()

  /// A small training that takes a moment.
  static let training = training(hidden: 8)

  /// The same with another width.
  static func training(hidden: Int) -> [String] {
    [
      "train", "--device", "cpu", "--model", "mlp", "--hidden", "\(hidden)", "--train", "60",
      "--test", "20", "--epochs", "2", "--batch", "20", "--seed", "3",
    ]
  }

  /// The program with arguments, not started.
  func process(
    _ arguments: [String], environment: [String: String] = [:], mergesOutputs: Bool = false
  ) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: path)
    var surroundings = ProcessInfo.processInfo.environment
    for name in ["KEEL_DEVICE", "KEEL_LOG"] { surroundings[name] = nil }
    surroundings["POCL_CACHE_DIR"] = driverCache
    process.environment = surroundings.merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try emptyFile("output.txt")
    process.standardError =
      mergesOutputs ? process.standardOutput : try emptyFile("complaint.txt")
    return process
  }

  /// Runs the program to its end.
  func keel(
    _ arguments: [String], environment: [String: String] = [:], mergesOutputs: Bool = false
  ) throws -> Outcome {
    let process = try process(
      arguments, environment: environment, mergesOutputs: mergesOutputs)
    try process.run()
    return outcome(of: process)
  }

  func keel(_ arguments: String...) throws -> Outcome { try keel(arguments) }

  /// Waits for a started process.
  func outcome(of process: Process) -> Outcome {
    process.waitUntilExit()
    let signalled = process.terminationReason == .uncaughtSignal
    return Outcome(
      status: signalled ? -process.terminationStatus : process.terminationStatus,
      output: text("output.txt"), complaint: text("complaint.txt"))
  }

  func text(_ name: String) -> String { String(decoding: bytes(name), as: UTF8.self) }

  func bytes(_ name: String) -> [UInt8] {
    [UInt8](FileManager.default.contents(atPath: path + "/" + name) ?? Data())
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    let place = URL(fileURLWithPath: path + "/" + name)
    try FileManager.default.createDirectory(
      at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: place)
  }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path + "/" + name) }

  /// The names in a folder, sorted, without what the runs said.
  func names(in folder: String = ".") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path + "/" + folder)
      .filter { !["output.txt", "complaint.txt"].contains($0) }.sorted()
  }

  private func emptyFile(_ name: String) throws -> FileHandle {
    let place = path + "/" + name
    try Data().write(to: URL(fileURLWithPath: place))
    let handle = FileHandle(forWritingAtPath: place)
    return try #require(handle)
  }
}

/// Expects a refusal: the code, and one sentence on standard error that contains each text.
func expectRefusal(
  _ outcome: Outcome, status: Int32 = 2, saying texts: String...,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(
    outcome.status == status, "\(outcome.transcript)", sourceLocation: sourceLocation)
  // A usage hint may follow the sentence.
  let lines = outcome.complaint.split(separator: "\n")
  #expect(
    lines.first?.hasPrefix("error: ") == true
      && lines.dropFirst().allSatisfy { $0.hasPrefix("See 'keel") },
    "\(outcome.transcript)", sourceLocation: sourceLocation)
  for text in texts {
    #expect(
      lines.first?.contains(text) == true, "'\(text)' lacks in: \(outcome.transcript)",
      sourceLocation: sourceLocation)
  }
}
