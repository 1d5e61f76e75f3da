import ArgumentParser
import Keel
import KeelBackend

/// `keel evaluate`: how good a run's network is.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Prints loss, accuracy and the confusion matrix of a run on test data.")

  @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
  var path: String

  @OptionGroup var device: DeviceOption
  @OptionGroup var products: ProductPrecisionOption
  @OptionGroup var data: DataOptions

  @Option(parsing: .unconditional, help: "Examples per batch.")
  var batch = 256

  func validate() throws {
    if batch < 1 { throw ValidationError("--batch must be at least 1, got \(batch).") }
  }

  func run() throws {
    let folder = try RunFolder(existing: path)
    let source = DataSource(recorded: folder.data, overriddenBy: data)
    let test = try source.loadTest()
    let device = try device.open()
    try products.apply(to: device)
    let trainer = try folder.trainer(on: device)
    let result = try trainer.evaluate(test, batchSize: batch)
    print("\(test.count) test examples of \(source.description)")
    print("loss      \(result.loss.fixed(4))")
    if let accuracy = result.accuracy { print("accuracy  \((100 * accuracy).fixed(2)) %") }
    print("\nconfusion matrix: rows are classes, columns what the network said\n")
    print(matrix(result.confusion))
  }

  private func matrix(_ confusion: [[Int]]) -> String {
    let width = max(4, "\(confusion.flatMap { $0 }.max() ?? 0)".count + 1)
    func cell(_ text: String) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    let header = cell("") + confusion.indices.map { cell("\($0)") }.joined() + cell("") + "right"
    let rows = confusion.enumerated().map { label, row in
      let total = row.reduce(0, +)
      let share = total == 0 ? "-" : (100 * Double(row[label]) / Double(total)).fixed(1) + " %"
      // A dot for 0, so that mistakes stand out.
      return cell("\(label)") + row.map { cell($0 == 0 ? "." : "\($0)") }.joined() + cell("")
        + share
    }
    return ([header] + rows).joined(separator: "\n")
  }
}
