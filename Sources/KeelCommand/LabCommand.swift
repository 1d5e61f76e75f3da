import ArgumentParser
import Keel
import KeelBackend
import KeelData
import KeelStudies

/// `keel lab`: the explosion lab.
struct LabCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lab",
    abstract: "Small trainings that explode, each met with every defence.",
    discussion: """
      Each training has a defence in its usual setting, and ends as ok (with its final loss),
      stalled (nothing exploded, nothing was learned), diverged or stopped by a policy (with the
      step), or n/a where the defence cannot act. Where theory says when a training fails, that is
      shown beside what happened; exit code 1 if they differ.
      """)

  @OptionGroup var option: DeviceOption

  @Flag(help: "Fewer defences on the deep networks; all other cells are the same.")
  var quick = false

  @Option(
    name: .long,
    help: ArgumentHelp("Only this training; may be given several times.", valueName: "name"))
  var catastrophe: [String] = []

  @Option(
    name: .long,
    help: ArgumentHelp("Only this defence; may be given several times.", valueName: "name"))
  var defence: [String] = []

  @Option(help: "The seed of weights and data.")
  var seed: UInt64 = 7

  @Option(help: ArgumentHelp("Write the table as JSON.", valueName: "file"))
  var json: String?

  @Option(help: ArgumentHelp("Write only what is equal on all devices.", valueName: "file"))
  var verdicts: String?

  @Option(
    help: ArgumentHelp(
      "Write a page, .html or .md; may be given several times.", valueName: "file"))
  var out: [String] = []

  func validate() throws {
    for path in out where !path.hasSuffix(".html") && !path.hasSuffix(".md") {
      throw ValidationError("--out '\(path)' must end in .html or .md")
    }
  }

  func run() throws {
    for path in [json, verdicts].compactMap({ $0 }) + out { try OutputFile.requireWritable(path) }
    let device = try option.open()
    var lab = Lab(device: device, scale: quick ? .quick : .full, seed: seed)
    if let complaint = lab.keepOnly(catastrophes: catastrophe, defences: defence) {
      throw ExitStatus.badInput(complaint)
    }
    let count = lab.catastrophes.count * lab.defences.count
    let line = ProgressLine(total: count, label: "lab")
    let result = try lab.run { cell in line.advance("\(cell.catastrophe), \(cell.defence)") }
    line.clear()
    print(result.table())
    if !result.claims.isEmpty { print("\n" + result.theoryTable()) }
    try write(result)
    print("\n\(result.cells.count) trainings in \(result.seconds.fixed(1)) s.")
    let wrong = result.claims.filter { !$0.holds }
    if !wrong.isEmpty {
      throw ExitStatus(
        code: 1,
        message: "\(wrong.count) of \(result.claims.count) predictions do not hold.")
    }
  }

  private func write(_ result: Lab.Result) throws {
    var files: [(path: String, text: String)] = []
    if let json { files.append((json, result.json())) }
    if let verdicts { files.append((verdicts, result.json(onlyVerdicts: true))) }
    for path in out {
      files.append((path, path.hasSuffix(".html") ? result.page() : result.markdown()))
    }
    for file in files {
      try DataFile.write(Array(file.text.utf8), to: file.path)
      print("wrote \(file.path)")
    }
  }
}
