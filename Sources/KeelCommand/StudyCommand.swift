import ArgumentParser
import Keel
import KeelBackend
import KeelData
import KeelStudies

/// `keel study`: what the articles claim, and what the numbers say.
struct StudyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Runs an article's scenario on digits and says whether its claim holds.",
    discussion: """
      Without a name it lists the studies. Each writes a page, NAME.html, and its numbers, \
      NAME.json: two runs with equal options on one device write the same bytes.
      """)

  @Argument(help: ArgumentHelp("Which study; without it: a list.", valueName: "name"))
  var name: String?

  @OptionGroup var device: DeviceOption
  @OptionGroup var data: DataOptions

  @Flag(help: "Fewer examples, epochs and variants: under half a minute.")
  var quick = false

  @Option(
    parsing: .unconditional,
    help: "Selects first weights, the order of examples and everything else that is random.")
  var seed: UInt64 = 0

  @Flag(help: "Writes the numbers alone, without those of curves: what is compared.")
  var noCurves = false

  @Option(help: ArgumentHelp("The folder of the page and the numbers.", valueName: "dir"))
  var out = "studies"

  func validate() throws {
    if let name, StudyCatalog.study(named: name) == nil {
      let known = StudyCatalog.all.map(\.name).joined(separator: ", ")
      throw ValidationError("There is no study '\(name)'; there are: \(known).")
    }
    if out.isEmpty { throw ValidationError("The folder of a study needs a name.") }
  }

  func run() throws {
    guard let study = name.flatMap(StudyCatalog.study(named:)) else { return list() }
    let (setting, line) = try setting(of: study)
    try DataFile.makeFolder(out)
    print("data: \(setting.dataText)")
    defer { line.clear() }
    let result = try study.run(setting)
    let base = "\(out)/\(study.name)"
    var written = [base + ".json"]
    if noCurves {
      try DataFile.write(result.withoutCurves.json, to: base + ".json")
    } else {
      try DataFile.write(result.json, to: base + ".json")
      try DataFile.write(Array(StudyPage(study, result).html.utf8), to: base + ".html")
      written.insert(base + ".html", at: 0)
    }
    line.clear()
    show(study, result)
    print("\nwritten: \(written.joined(separator: ", "))")
  }

  private func list() {
    var table = TextTable("study", "what it puts to the test")
    for study in StudyCatalog.all { table.add(study.name, study.claim) }
    print(table.render())
    print("\nRun one with: keel study NAME [--quick] [--data DIR]")
  }

  /// The examples and the device, and a line that shows how far the study is.
  private func setting(of study: any Study) throws -> (StudySetting, ProgressLine) {
    let (examples, text) = try load(study)
    let line = ProgressLine(total: 0, label: study.name)
    let setting = StudySetting(
      device: try device.open(), train: examples.train, test: examples.test, data: text,
      scale: quick ? .quick : .full, seed: seed
    ) { line.show($0.done, of: $0.total, $0.text) }
    return (setting, line)
  }

  private func load(_ study: any Study) throws -> (
    examples: (train: Dataset, test: Dataset), text: String
  ) {
    var source = DataSource(data)
    let wanted = study.examples(quick ? .quick : .full)
    source.train = source.train ?? wanted.train
    source.test = source.test ?? wanted.test
    return (
      try source.load(), source.folder == nil ? StudySetting.drawnDigits : StudySetting.realDigits
    )
  }

  private func show(_ study: any Study, _ result: StudyResult) {
    print("\n\(study.title)\n\(study.claim)\n")
    print(result.table)
    if !result.details.isEmpty { print("\n" + result.detailTable) }
    if !result.measurements.isEmpty { print("\n" + result.measurementTable) }
    print("\n\(StudyPage.headline(result.supports)) \(result.verdict)")
  }
}
