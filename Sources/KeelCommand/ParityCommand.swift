import ArgumentParser
import Keel
import KeelBackend
import KeelCases

/// `keel parity`: every case on a device against the Double oracle.
struct ParityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parity",
    abstract: "Checks every operation on the CPU and a device against references in Double.",
    discussion: """
      Each case runs twice: results must match the reference within the case's tolerance, gradients
      must match differences of the reference, and the two runs must be equal to the bit. Calls
      with bad operands must be refused. Exit code 1 if anything fails.
      """)

  @OptionGroup var option: DeviceOption
  @OptionGroup var products: ProductPrecisionOption

  @Option(
    name: [.long, .customLong("case")],
    help: ArgumentHelp(
      "Only this case, such as conv2d/stride2_same, or cases whose id contains the text; may be "
        + "given several times.",
      valueName: "id"))
  var filter: [String] = []

  @Flag(help: "Check the device alone, not the CPU beside it.")
  var onlyDevice = false

  @Flag(help: "Print every case, not only the summary per operation and the failures.")
  var verbose = false

  func run() throws {
    let selection = try Selection(filter)
    let chosen = try option.open()
    try products.apply(to: chosen)
    let devices = onlyDevice || chosen == .cpu ? [chosen] : [.cpu, chosen]
    var results: [CaseResult] = []
    for device in devices {
      results += check(selection, on: device)
    }
    print(summary(of: results).render())
    let failures = results.filter { !$0.passed }
    for failure in failures {
      print("\nFAILED \(failure.id) on \(failure.device): \(failure.message)")
      print("  again: \(failure.command)")
    }
    print(
      "\n\(results.count - failures.count) of \(results.count) passed on "
        + devices.map(\.info.selector).joined(separator: " and ") + ".")
    if !failures.isEmpty { throw ExitStatus(code: 1) }
  }

  /// The cases to run: for each text the one of exactly this id, or those that contain it.
  private struct Selection {
    var cases: [OperationCase] = []
    var errors: [ErrorCase] = []

    init(_ filter: [String]) throws {
      for text in filter.isEmpty ? [""] : filter {
        let id = CaseCatalog.canonical(text)
        if let one = CaseCatalog.find(id) {
          cases.append(one)
          continue
        }
        let found = CaseCatalog.matching(text, in: CaseCatalog.small)
        let refused = CaseCatalog.errors.filter { text.isEmpty || $0.id.contains(id) }
        guard !found.isEmpty || !refused.isEmpty else {
          throw ExitStatus.badInput("no case is called or contains '\(text)'; see 'keel ops'")
        }
        cases += found
        errors += refused
      }
    }
  }

  private func check(_ selection: Selection, on device: Device) -> [CaseResult] {
    let runner = CaseRunner(device)
    let progress = ProgressLine(
      total: selection.cases.count + selection.errors.count, label: device.info.selector)
    defer { progress.clear() }
    var results: [CaseResult] = []
    for one in selection.cases {
      progress.advance(one.id)
      results.append(runner.check(one))
      if verbose, let last = results.last { progress.print(line(for: last)) }
    }
    for one in selection.errors {
      progress.advance(one.id)
      results.append(runner.check(one))
      if verbose, let last = results.last { progress.print(line(for: last)) }
    }
    return results
  }

  private func line(for result: CaseResult) -> String {
    let verdict = result.passed ? "ok    " : "FAILED"
    let gradient = result.worstGradientError.map { ", gradient \($0.compact()) of tolerance" } ?? ""
    return "\(verdict) \(result.device) \(result.id): \(result.worstULP.compact()) ULP, "
      + "\(result.worstError.compact()) of tolerance\(gradient)"
  }

  /// A row per operation and device: cases, failures and the worst of each measure.
  private func summary(of results: [CaseResult]) -> TextTable {
    var table = TextTable(
      "operation", "device", ">cases", ">failed", ">worst ULP", ">error/tolerance",
      ">gradient/tolerance", ">seconds")
    for operation in OperationName.allCases {
      let own = results.filter { $0.id.hasPrefix(operation.rawValue + "/") }
      for device in Set(own.map(\.device)).sorted() {
        let rows = own.filter { $0.device == device }
        let gradients = rows.compactMap(\.worstGradientError)
        table.add(
          operation.rawValue, device, "\(rows.count)", "\(rows.count { !$0.passed })",
          (rows.map(\.worstULP).max() ?? 0).compact(),
          (rows.map(\.worstError).max() ?? 0).fixed(3),
          gradients.max().map { $0.fixed(3) } ?? "-",
          rows.map(\.seconds).reduce(0, +).fixed(2))
      }
    }
    return table
  }
}
