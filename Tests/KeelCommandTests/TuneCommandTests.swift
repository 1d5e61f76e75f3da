import Foundation
import Testing

/// `keel tune` as a user sees it, on the first OpenCL device.
@Suite struct TuneCommandTests {
  /// A place for results and for compiled kernels; the tiles of CPU-class devices on all.
  private let environment = [
    "KEEL_TUNING": "tuning.json", "KEEL_CACHE": "kernels", "KEEL_DEVICE_CLASS": "cpu",
  ]

  private func hasDevice(_ bench: Workbench) throws -> Bool {
    try bench.keel("devices").output.contains("opencl:0")
  }

  /// Candidates that are wrong, crash or hang are refused, the rest is tuned and remembered.
  @Test func tunesAndRemembers() throws {
    let bench = Workbench()
    guard try hasDevice(bench) else { return }
    let faults = ["wrong", "abort", "hang"].flatMap { ["--plant", $0] }
    let tuned = try bench.keel(
      ["tune", "--device", "opencl", "--shape", "3x20x5", "--patience", "2", "--verbose"] + faults,
      environment: environment)
    #expect(tuned.status == 0, "\(tuned.transcript)")
    let reasons = [
      "is wrong: on matmul", "crashes: its process ended by signal 6", "does not answer",
    ]
    for reason in reasons {
      #expect(
        tuned.output.contains("refused: a planted candidate \(reason)"), "\(tuned.transcript)")
    }
    #expect(tuned.output.contains("1 of 1 shape classes"), "\(tuned.transcript)")
    #expect(tuned.output.contains("% of the default's"), "\(tuned.transcript)")
    let text = bench.text("tuning.json")
    #expect(text.contains("\"form\" : \"keel-tuning-1\""))
    #expect(text.contains("\"operation\" : \"matmul\""))
    #expect(try bench.names().filter { $0 != "kernels" } == ["tuning.json"])
    // Joined with itself it is itself.
    let merged = try bench.keel(
      "tune", "--merge", "tuning.json", "tuning.json", "--out", "all.json")
    #expect(merged.output.contains("1 results of 1 device written"), "\(merged.transcript)")
    #expect(bench.bytes("all.json") == bench.bytes("tuning.json"))
  }

  @Test func theBudgetIsKept() throws {
    let bench = Workbench()
    guard try hasDevice(bench) else { return }
    let start = Date()
    let outcome = try bench.keel(
      ["tune", "--device", "opencl", "--budget", "1s", "--plant", "hang"],
      environment: environment)
    #expect(outcome.status == 0 && outcome.output.contains("0 of "), "\(outcome.transcript)")
    #expect(Date().timeIntervalSince(start) < 3)
  }

  @Test func refusesWhatCannotBeTuned() throws {
    let bench = Workbench()
    expectRefusal(try bench.keel("tune", "--op", "softmax"), saying: "'softmax' has no parameters")
    expectRefusal(try bench.keel("tune", "--budget", "soon"), saying: "--budget must be a time")
    expectRefusal(try bench.keel("tune", "--shape", "3x4"), saying: "got '3x4'")
    expectRefusal(
      try bench.keel("tune", "--device", "cpu", "--out", "t.json"),
      saying: "cpu does not run kernels that could be tuned")
    expectRefusal(try bench.keel("tune", "--merge", "a.json"), saying: "--out")
    expectRefusal(
      try bench.keel(["tune", "--device", "cpu"], environment: ["KEEL_TUNING": ""]),
      saying: "name a file with --out")
    try bench.write(Array("not JSON".utf8), to: "bad.json")
    expectRefusal(
      try bench.keel("tune", "--merge", "bad.json", "--out", "all.json"),
      saying: "bad.json is no tuning file")
    #expect(try bench.names() == ["bad.json"])
  }

  /// A file that cannot be read is a warning, and kernels are those of the planning functions.
  @Test func aDamagedDatabaseIsAWarning() throws {
    let bench = Workbench()
    guard try hasDevice(bench) else { return }
    try bench.write(Array("{}".utf8), to: "tuning.json")
    let parity = [
      "parity", "--only-device", "--case", "matmul/batch_left_of_one", "--device", "opencl",
    ]
    let outcome = try bench.keel(parity, environment: environment)
    #expect(outcome.complaint.contains("tuning.json is no tuning file"), "\(outcome.transcript)")
    let off = try bench.keel(parity, environment: ["KEEL_TUNING": "", "KEEL_CACHE": "kernels"])
    #expect(off.status == outcome.status && !off.complaint.contains("tuning"))
  }
}
