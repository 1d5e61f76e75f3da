import Foundation
import Testing

/// Runs that end badly, and `keel report`.
@Suite struct ReportCommandTests {
  /// The contents of a file as JSON.
  private func json(_ bench: Workbench, _ name: String) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: Data(bench.bytes(name)))
    return try #require(object as? [String: Any])
  }

  @Test("After a kill the flight record can be read, and reported")
  func survivesKill() throws {
    let bench = Workbench()
    let process = try bench.process(
      Workbench.training(hidden: 64) + [
        "--train", "3000", "--epochs", "3000", "--out", "run", "--clip-global-norm", "0.5",
      ])
    try process.run()
    for _ in 0..<600 where !bench.text("complaint.txt").contains("epoch 3/") { usleep(20_000) }
    kill(process.processIdentifier, SIGKILL)
    #expect(bench.outcome(of: process).status == -SIGKILL)
    let flight = try json(bench, "run/flight.json")
    let steps = try #require(flight["steps"] as? [[String: Any]])
    #expect(steps.count == 64)
    for key in ["loss", "gradientNorm", "norms", "passes", "learningRate", "outcome", "batches"] {
      #expect(steps.last?[key] != nil, "\(key)")
    }
    #expect((flight["state"] as? [String: Any])?["running"] != nil)
    // Also for a run of which nothing else is left.
    for name in ["run.json", "history.json", "report.html"] {
      try? FileManager.default.removeItem(atPath: bench.path + "/run/" + name)
    }
    let outcome = try bench.keel("report", "run")
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output.contains("run: still running when its flight record was written, or"))
    #expect(outcome.output.contains("report: run/report.html"))
    let page = bench.text("run/report.html")
    #expect(page.contains("The last steps") && page.contains("killed"))
  }

  @Test("A run that diverges leaves its post-mortem with the cause")
  func explainsDivergence() throws {
    let bench = Workbench()
    let outcome = try bench.keel(
      Workbench.training + [
        "--optimizer", "sgd", "--lr", "1e30", "--epochs", "5", "--on-fault", "raise", "--out",
        "run",
      ])
    #expect(outcome.status == 2)
    #expect(outcome.complaint.contains("error: training stopped at step "))
    #expect(outcome.output.contains("keel report run"))
    let flight = try json(bench, "run/flight.json")
    let faults = try #require(flight["faults"] as? [[String: Any]])
    #expect(faults.last?["cause"] != nil)
    let report = try bench.keel("report", "run")
    #expect(report.status == 0, "\(report.transcript)")
    #expect(report.output.contains("faults   "))
    #expect(report.output.contains("training stopped at step "))
  }

  @Test("A complete run is reported again; --open needs a program that opens")
  func reportsAgain() throws {
    let bench = Workbench()
    _ = try bench.keel(Workbench.training + ["--out", "run", "--tensorboard", "board"])
    #expect(try bench.names(in: "board").count == 1)
    try FileManager.default.removeItem(atPath: bench.path + "/run/report.html")
    let outcome = try bench.keel(["report", "run", "--open"], environment: ["PATH": "/nowhere"])
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output.contains("run: complete") && outcome.output.contains("6 applied (100.0"))
    #expect(outcome.output.contains("there is no xdg-open"))
    let page = bench.text("run/report.html")
    for text in ["class of kernels", "Swift compiler", "driver", "seed", ">Keel<"] {
      #expect(page.contains(text), "\(text)")
    }
    expectRefusal(try bench.keel("report", "none"), saying: "none: holds no run")
    #expect(!bench.exists("none"))
  }
}
