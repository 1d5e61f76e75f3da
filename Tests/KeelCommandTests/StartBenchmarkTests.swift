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

  @Test func theNewProcessSaysWhenItsStepIsDone() throws {
    let outcome = try Workbench().keel(["bench", "--first-step", "--device", "cpu"])
    #expect(outcome.status == 0)
    #expect(outcome.output == "the first step is done\n")
  }
}
