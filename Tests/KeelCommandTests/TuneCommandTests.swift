import Foundation
import Testing

/// `keel tune` as a user sees it, on the first OpenCL device.
@Suite struct TuneCommandTests {
  /// A place for results, and compiled kernels that all tests share.
  private let environment = ["KEEL_TUNING": "tuning.json"]
  private let tune = ["tune", "--device", "opencl", "--budget", "4s"]

  private func hasDevice(_ bench: Workbench) throws -> Bool {
    try bench.keel("devices").output.contains("opencl:0")
  }

  @Test func tunesAndRemembers() throws {
    let bench = Workbench()
    guard try hasDevice(bench) else { return }
    let first = try bench.keel(
      tune + ["--shape", "33x20x40", "--plant", "wrong"], environment: environment)
    #expect(first.status == 0, "\(first.transcript)")
    // The planted candidate is refused, and said to be.
    #expect(first.output.contains("refused: a planted candidate is wrong"))
    #expect(first.output.contains("1 of 1 shape classes"))
    #expect(first.output.contains("1 candidates refused"))
    let text = bench.text("tuning.json")
    #expect(
      text.contains("\"form\" : \"keel-tuning-1\"") && text.contains("\"operation\" : \"matmul\""))
    #expect(try bench.names() == ["tuning.json"])
    // Joined with itself it is itself.
    let merged = try bench.keel(
      "tune", "--merge", "tuning.json", "tuning.json", "--out", "all.json")
    #expect(merged.output.contains("1 results of 1 device written"), "\(merged.transcript)")
    #expect(bench.bytes("all.json") == bench.bytes("tuning.json"))
  }

  @Test("What crashes or hangs costs its own process", arguments: ["abort", "hang"])
  func survives(_ fault: String) throws {
    let bench = Workbench()
    guard try hasDevice(bench) else { return }
    let start = Date()
    let outcome = try bench.keel(
      tune + ["--shape", "33x20x40", "--plant", fault, "--patience", "1.5", "--budget", "20s"],
      environment: environment)
    #expect(outcome.status == 0, "\(outcome.transcript)")
    let reason = fault == "abort" ? "crashes: its process ended by signal 6" : "does not answer"
    #expect(outcome.output.contains(reason), "\(outcome.transcript)")
    #expect(outcome.output.contains("1 of 1 shape classes"), "\(outcome.transcript)")
    #expect(Date().timeIntervalSince(start) < 20)
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

  /// A run says which kernels it ran; another tuning is a warning when it goes on.
  @Test func aRunRecordsItsTuning() throws {
    let bench = Workbench()
    guard try hasDevice(bench) else { return }
    let training = Workbench.training.map { $0 == "cpu" ? "opencl" : $0 }
    let plain = try bench.keel(training + ["--out", "plain"], environment: environment)
    #expect(plain.status == 0, "\(plain.transcript)")
    #expect(!bench.text("plain/run.json").contains("\"tuning\""))
    // What a database that cannot be read costs: a warning.
    try bench.write(Array("{}".utf8), to: "tuning.json")
    let warned = try bench.keel(training + ["--out", "warned"], environment: environment)
    #expect(warned.status == 0 && warned.complaint.contains("is no tuning file"))
    #expect(
      bench.bytes("warned/checkpoint.safetensors") == bench.bytes("plain/checkpoint.safetensors"))
  }
}
