import Foundation
import Testing

@Suite struct StartBenchmarkTests {
  private struct Report: Decodable {
    struct Result: Decodable {
      let id: String
      let milliseconds: Double
    }
    let results: [Result]
  }

  @Test func newProcessesAreTimedUntilTheirFirstStep() throws {
    let bench = Workbench()
    let outcome = try bench.keel([
      "bench", "--quick", "--device", "cpu", "--filter", "start/", "--json", "start.json",
    ])
    #expect(outcome.status == 0, "\(outcome.transcript)")
    let report = try JSONDecoder().decode(Report.self, from: Data(bench.bytes("start.json")))
    #expect(
      report.results.map(\.id) == [
        "start/digits_batch32_empty_cache", "start/digits_batch32_filled_cache",
      ])
    // No process starts within a millisecond, and none needs a minute.
    #expect(report.results.allSatisfy { $0.milliseconds > 1 && $0.milliseconds < 60_000 })
  }

  /// A process that starts has no kernels to list, and a device class that is none starts nothing.
  @Test func whatCannotBeDoneIsSaid() throws {
    let bench = Workbench()
    let explained = try bench.keel([
      "bench", "--explain", "--device", "cpu", "--filter", "start/",
    ])
    #expect(explained.status == 2)
    #expect(explained.complaint.contains("no large benchmark contains 'start/'"))
    guard try bench.keel("devices").output.contains("opencl:0") else { return }
    let classless = try bench.keel(
      ["bench", "--first-step", "--device", "opencl"], environment: ["KEEL_DEVICE_CLASS": "fpga"])
    #expect(classless.status == 3)
    #expect(classless.complaint.contains("it may be cpu, gpu, nvidia, amd, intel, other"))
  }

  @Test func theNewProcessSaysWhenItsStepIsDone() throws {
    let outcome = try Workbench().keel(["bench", "--first-step", "--device", "cpu"])
    #expect(outcome.status == 0)
    #expect(outcome.output == "the first step is done\n")
  }
}
