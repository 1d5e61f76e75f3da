import ArgumentParser
import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelData
import KeelTraining

/// `keel report`: the page of a run, however it ended.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Writes the page of a run again, and says in short how it went.",
    discussion: """
      Also for a run that was killed or that failed: what its files hold is shown, up to the last \
      steps in flight.json.
      """)

  @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
  var path: String

  @Flag(help: "Opens the page in a browser.")
  var open = false

  func run() throws {
    let evidence = try RunEvidence(of: path)
    let page = path + "/report.html"
    try DataFile.write(Array(Report(evidence).html.utf8), to: page)
    print(evidence.summary)
    print("report: \(page)")
    guard open else { return }
    if !Browser.open(page) { print("there is no xdg-open to open it with") }
  }
}

extension RunEvidence {
  /// A few lines for a terminal.
  fileprivate var summary: String {
    var lines = ["\(path): \(ending)"]
    if let last = history.steps.last {
      lines.append("steps    \(Int(last.step).grouped), the last with loss \(last.loss)")
    }
    for (name, count, part) in history.outcomeCounts {
      lines.append("         \(count.grouped) \(name) (\((100 * part).fixed(1)) %)")
    }
    if let run = description, !run.stability.clip.stages.isEmpty {
      lines.append(
        "clipping \(run.stability.clip): engaged in "
          + "\((100 * history.engagement).fixed(1)) % of the steps taken")
    }
    if !history.faults.isEmpty {
      lines.append("faults   \(history.faults.count)")
      lines += history.faults.prefix(5).map { indented("\($0)") }
      if history.faults.count > 5 { lines.append("         and more: see the page") }
    }
    if let run = description {
      lines.append("device   \(run.device.name) (\(run.device.selector))")
    }
    return (lines + problems.map { "warning: \($0)" }).joined(separator: "\n")
  }

  private func indented(_ text: String) -> String {
    text.split(separator: "\n").map { "         \($0)" }.joined(separator: "\n")
  }
}

/// The program that opens pages.
private enum Browser {
  /// Opens a page and does not wait; false where there is no such program.
  static func open(_ page: String) -> Bool {
    let variables = ProcessInfo.processInfo.environment
    let folders = (variables["PATH"] ?? "").split(separator: ":")
    guard
      let program = folders.map({ "\($0)/xdg-open" }).first(where: {
        FileManager.default.isExecutableFile(atPath: $0)
      })
    else { return false }
    var process: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup(page), nil]
    var surroundings = variables.map { name, value in
      strdup(name + "=" + value)
    }
    surroundings.append(nil)
    defer { for text in arguments + surroundings { free(text) } }
    return posix_spawn(&process, program, nil, nil, &arguments, &surroundings) == 0
  }
}
