import ArgumentParser
import Glibc
import Keel
import KeelBackend

/// `keel data`: data sets.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Gets data sets.", subcommands: [FetchCommand.self])
}

/// `keel data fetch`: downloads a data set, checked and resumed.
struct FetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch",
    abstract: "Downloads a data set from its public mirrors, checks it, and resumes.")

  @Argument(help: "mnist or fashion-mnist.")
  var dataset: String

  @Option(name: .customLong("to"), help: ArgumentHelp("The folder.", valueName: "dir"))
  var folder: String

  @Option(help: ArgumentHelp("A folder on a server to use instead.", valueName: "url"))
  var from: String?

  func validate() throws {
    if folder.isEmpty { throw ValidationError("--to needs the name of a folder.") }
  }

  func run() throws {
    guard let known = FetchableDataset(rawValue: dataset) else {
      let names = FetchableDataset.allCases.map(\.rawValue).joined(separator: ", ")
      throw ExitStatus.badInput("there is no data set '\(dataset)'; there are: \(names)")
    }
    let isNew = access(folder, F_OK) != 0
    // A folder that was made for nothing goes again; one with a part of a file in it stays.
    defer { if isNew { rmdir(folder) } }
    let progress = TransferLine()
    defer { progress.clear() }
    let paths = try DataFetch.fetch(known, to: folder, baseURL: from) { state in
      progress.show(state)
      return true
    }
    progress.clear()
    for path in paths { print(path) }
  }
}

/// The line that shows a download.
private final class TransferLine {
  private let line = ProgressLine(total: 100, label: "fetch")

  func show(_ state: FetchProgress) {
    let share = state.total == 0 ? 100 : 100 * state.received / state.total
    line.show(
      share,
      "\(state.file) (\(state.fileIndex + 1) of \(state.fileCount)), \(state.received.bytes)")
  }

  func clear() { line.clear() }
}
