import ArgumentParser
import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelBenchmarks
import KeelCases
import KeelData
import KeelReport

/// `keel bench`: times cases of the catalog and whole training steps on a device.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Times operations and training steps against the device's limits.",
    discussion: """
      The limits are measured in the same run: fused multiply-adds in registers and a copy of
      256 MiB. "% of limit" is the time that the slower of the two allows over the time taken.
      "ms" is per run when runs follow each other, "waited" is one run with the wait for its end.
      Each operation is checked against its reference before it is timed. For training steps
      "moved" counts the arrays of all operations once in and once out, "peak" the most memory
      that arrays took at a time. start/ is a new process until it has trained its first step.
      Small cases, which parity also checks, show what a call costs where the work is next to
      nothing: they have times only.
      """)

  @OptionGroup var option: DeviceOption
  @OptionGroup var products: ProductPrecisionOption

  @Option(help: "Only benchmarks whose id contains the text, such as matmul or step/.")
  var filter: String = ""

  @Option(help: "The cases to time: large, together with training steps, or small.")
  var size: OperationCase.SizeClass = .large

  @Option(help: ArgumentHelp("Also write the results to a file.", valueName: "file"))
  var json: String?

  @Option(
    help: ArgumentHelp(
      "Compare with the results that --json wrote: the baseline's time over this run's.",
      valueName: "file"))
  var baseline: String?

  @Option(
    help: ArgumentHelp(
      "Also draw rates over operations per byte under the device's limits, as SVG.",
      valueName: "file"))
  var roofline: String?

  @Flag(help: "Few samples: for a look, not for figures that are quoted.")
  var quick = false

  @Flag(help: "Instead of timing, run each once and list its kernels, and why those.")
  var explain = false

  @Flag(help: .hidden)
  var firstStep = false

  func validate() throws {
    if explain, json != nil || baseline != nil || roofline != nil {
      throw ValidationError("--explain measures nothing to keep: leave out the files.")
    }
    if size == .small, roofline != nil {
      throw ValidationError("Small cases have times only, a roofline needs rates: leave one out.")
    }
  }

  func run() throws {
    if firstStep {
      let device = try option.open(quietly: true)
      try products.apply(to: device, quietly: true)
      return try StartBenchmark.takeFirstStep(on: device)
    }
    let effort: Effort = quick ? .quick : .full
    let isWhole = size == .large
    let cases = CaseCatalog.matching(filter, in: isWhole ? CaseCatalog.large : CaseCatalog.small)
    let steps = isWhole ? StepBenchmark.all.filter { isWanted($0.id) } : []
    let starts = isWhole && !explain ? StartBenchmark.all.filter { isWanted($0.id) } : []
    guard !cases.isEmpty || !steps.isEmpty || !starts.isEmpty else {
      throw ExitStatus.badInput(
        "no \(size.rawValue) benchmark contains '\(filter)'; run without --filter to see all")
    }
    for file in [json, roofline].compactMap({ $0 }) { try OutputFile.requireWritable(file) }
    let compared = try baseline.map(readBaseline)
    let device = try option.open()
    try products.apply(to: device)
    if explain {
      return try BenchExplanation(device: device, effort: effort).print(cases, steps)
    }
    let limits = try DeviceLimits(measuring: device, effort: effort)
    print(
      "limits measured in this run: \(limits.gigaflops.fixed(1)) GFLOP/s, "
        + "\(limits.gigabytesPerSecond.fixed(1)) GB/s copying\n")
    let results = try measure(cases, steps, starts, on: device, effort, limits)
    print(table(results, compared).render())
    if let compared {
      print("\n" + (compared.summary(results) ?? "no benchmark of this run is in the baseline"))
    }
    if let roofline { try draw(results, limits, device, to: roofline) }
    if let json {
      let report = BenchmarkReport(
        keelVersion: KeelCommand.configuration.version, date: Date().ISO8601Format(),
        device: device.info, limits: limits, results: results)
      try write(report, to: json)
    }
  }

  private func isWanted(_ id: String) -> Bool { filter.isEmpty || id.contains(filter) }

  private func measure(
    _ cases: [OperationCase], _ steps: [StepBenchmark], _ starts: [StartBenchmark],
    on device: Device, _ effort: Effort, _ limits: DeviceLimits
  ) throws -> [BenchmarkResult] {
    let benchmark = CaseBenchmark(device: device, effort: effort, limits: limits)
    let operations = OperationName.allCases.filter { name in cases.contains { $0.operation == name }
    }
    let progress = ProgressLine(
      total: operations.count + cases.count + steps.count + starts.count,
      label: device.info.selector)
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
    for start in starts {
      progress.advance(start.id)
      let options = ["--device", device.info.selector] + products.arguments
      results.append(try start.measure(with: options, quick: quick))
    }
    return results
  }

  private func readBaseline(_ path: String) throws -> BenchmarkBaseline {
    let bytes = try DataFile.read(path)
    do { return try BenchmarkBaseline(bytes) } catch {
      throw ExitStatus.badInput("\(path) is not a file that 'keel bench --json' has written")
    }
  }

  private func table(
    _ results: [BenchmarkResult], _ baseline: BenchmarkBaseline?
  ) -> TextTable {
    var optional: [(heading: String, text: (BenchmarkResult) -> String?)] = [
      ("GFLOP/s", { $0.gigaflops?.fixed(1) }),
      ("GB/s", { $0.gigabytesPerSecond?.fixed(1) }),
      ("% of limit", { $0.percentOfLimit?.fixed(0) }),
      ("images/s", { $0.examplesPerSecond?.fixed(0) }),
      ("launches", { $0.launches?.grouped }),
      ("host ms", { $0.hostMilliseconds?.fixed(3) }),
      ("MB moved", { $0.bytesMoved.map { (Double($0) * 1e-6).fixed(1) } }),
      ("MB peak", { $0.peakBytes.map { (Double($0) * 1e-6).fixed(1) } }),
      ("vs baseline", { baseline?.ratio($0)?.fixed(2) }),
    ]
    // A column that nothing fills is left out.
    optional.removeAll { column in results.allSatisfy { column.text($0) == nil } }
    var table = TextTable(
      ["benchmark", ">ms", ">waited", ">±%"] + optional.map { ">" + $0.heading })
    for result in results {
      table.add(
        [
          result.id, result.milliseconds.fixed(3), result.waitedMilliseconds.fixed(3),
          (100 * result.spread).fixed(0),
        ] + optional.map { $0.text(result) ?? "" })
    }
    return table
  }

  private func draw(
    _ results: [BenchmarkResult], _ limits: DeviceLimits, _ device: Device, to path: String
  ) throws {
    let points = results.compactMap { result -> Roofline.Point? in
      guard let rate = result.gigaflops, let intensity = result.flopsPerByte else { return nil }
      return Roofline.Point(result.id, flopsPerByte: intensity, gigaflops: rate)
    }
    let plot = Roofline(
      device.info.name, gigaflops: limits.gigaflops,
      gigabytesPerSecond: limits.gigabytesPerSecond, points)
    try DataFile.write([UInt8](plot.svg.utf8), to: path)
    print("\ndrawn in \(path)")
  }

  private func write(_ report: BenchmarkReport, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try DataFile.write([UInt8](try encoder.encode(report)) + [UInt8(ascii: "\n")], to: path)
    print("\nwritten to \(path)")
  }
}

extension OperationCase.SizeClass: ExpressibleByArgument {}
