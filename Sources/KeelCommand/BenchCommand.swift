import ArgumentParser
import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelBenchmarks
import KeelCases
import KeelData

/// `keel bench`: times the large cases and whole training steps on a device.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Times operations and training steps against the device's limits.",
    discussion: """
      The limits are measured in the same run: fused multiply-adds in registers and a copy of
      256 MiB. "% of limit" is the time that the slower of the two allows over the time taken.
      "ms" is per run when runs follow each other, "waited" is one run with the wait for its end.
      Each operation is checked against its reference before it is timed.
      """)

  @OptionGroup var option: DeviceOption

  @Option(help: "Only benchmarks whose id contains the text, such as matmul or step/.")
  var filter: String = ""

  @Option(help: ArgumentHelp("Also write the results to a file.", valueName: "file"))
  var json: String?

  @Flag(help: "Few samples: for a look, not for figures that are quoted.")
  var quick = false

  func run() throws {
    let effort: Effort = quick ? .quick : .full
    let cases = CaseCatalog.matching(filter, in: CaseCatalog.large)
    let steps = StepBenchmark.all.filter { filter.isEmpty || $0.id.contains(filter) }
    guard !cases.isEmpty || !steps.isEmpty else {
      throw ExitStatus.badInput(
        "no benchmark contains '\(filter)'; run without --filter to see all")
    }
    if let json { try OutputFile.requireWritable(json) }
    let device = try option.open()
    let limits = try DeviceLimits(measuring: device, effort: effort)
    print(
      "limits measured in this run: \(limits.gigaflops.fixed(1)) GFLOP/s, "
        + "\(limits.gigabytesPerSecond.fixed(1)) GB/s copying\n")
    let results = try measure(cases, steps, on: device, effort, limits)
    print(table(results).render())
    if let json {
      let report = BenchmarkReport(
        keelVersion: KeelCommand.configuration.version, date: Date().ISO8601Format(),
        device: device.info, limits: limits, results: results)
      try write(report, to: json)
    }
  }

  private func measure(
    _ cases: [OperationCase], _ steps: [StepBenchmark], on device: Device, _ effort: Effort,
    _ limits: DeviceLimits
  ) throws -> [BenchmarkResult] {
    let benchmark = CaseBenchmark(device: device, effort: effort, limits: limits)
    let operations = OperationName.allCases.filter { name in cases.contains { $0.operation == name }
    }
    let progress = ProgressLine(
      total: operations.count + cases.count + steps.count, label: device.info.selector)
    defer { progress.clear() }
    for operation in operations {
      progress.advance("checking \(operation.rawValue)")
      if let failure = benchmark.firstFailure(of: operation) {
        throw ExitStatus(
          code: 1,
          message: "error: \(failure.id) is wrong on \(failure.device): \(failure.message); "
            + "not timed. Again: \(failure.command)")
      }
    }
    var results: [BenchmarkResult] = []
    for one in cases {
      progress.advance(one.id)
      results.append(try benchmark.measure(one))
    }
    for step in steps {
      progress.advance(step.id)
      results.append(try step.measure(on: device, effort: effort))
    }
    return results
  }

  private func table(_ results: [BenchmarkResult]) -> TextTable {
    var table = TextTable(
      "benchmark", ">ms", ">waited", ">±%", ">GFLOP/s", ">GB/s", ">% of limit", ">images/s")
    for result in results {
      table.add(
        result.id, result.milliseconds.fixed(3), result.waitedMilliseconds.fixed(3),
        (100 * result.spread).fixed(0), result.gigaflops.map { $0.fixed(1) } ?? "",
        result.gigabytesPerSecond.map { $0.fixed(1) } ?? "",
        result.percentOfLimit.map { $0.fixed(0) } ?? "",
        result.examplesPerSecond.map { $0.fixed(0) } ?? "")
    }
    return table
  }

  private func write(_ report: BenchmarkReport, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try DataFile.write([UInt8](try encoder.encode(report)) + [UInt8(ascii: "\n")], to: path)
    print("\nwritten to \(path)")
  }
}
