import ArgumentParser
import FoundationEssentials
import Keel

/// `keel probe`: what a dry run tells before the training.
struct ProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract:
      "Tells from a few batches, before training, whether and how fast a network can learn.",
    discussion: """
      Prints the variance of each layer's values and the gain of its gradients, the largest \
      curvature of the loss with the learning rate that follows, and a clip threshold. No weight \
      changes. Options of data and network are those of 'keel train'.
      """)

  @OptionGroup var device: DeviceOption
  @OptionGroup var data: DataOptions
  @OptionGroup var network: NetworkOptions
  @OptionGroup var firstValues: InitializationOptions

  @Option(parsing: .unconditional, help: "Batches to look at.")
  var batches = 4

  @Option(parsing: .unconditional, help: "Examples per batch.")
  var batch = 64

  @Option(
    parsing: .unconditional,
    help: "The most products for the curvature, of two passes over all batches each; 0 for none.")
  var products = 100

  @Option(parsing: .unconditional, help: "Selects initial weights and the batches.")
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("Writes the report as JSON.", valueName: "file"))
  var json: String?

  @Option(help: ArgumentHelp("Writes the report as a page with plots.", valueName: "page"))
  var out: String?

  func validate() throws {
    for (name, value) in [("--batches", batches), ("--batch", batch)] where value < 1 {
      throw ValidationError("\(name) must be at least 1, got \(value).")
    }
    if products < 0 { throw ValidationError("--products must be at least 0, got \(products).") }
    if json == "" || out == "" { throw ValidationError("A file needs a name.") }
    switch try firstValues.chosen {
    case .mup?, .gradInit?:
      throw ValidationError(
        "--init-method mup and gradinit ask for an optimizer, which a probe has not: "
          + "see 'keel train'.")
    case let method: try method?.validate(for: network)
    }
  }

  func run() throws {
    for path in [json, out].compactMap({ $0 }) { try OutputFile.requireWritable(path) }
    let source = DataSource(data)
    let (train, _) = try source.load()
    let device = try device.open()
    print("data: \(source.description), \(train.count) to train")
    let model = try Model(
      network.recipe(classes: train.classCount), input: train.exampleShape, device: device,
      seed: seed)
    if let initializer = try network.chosenInitializer { try model.initialize(initializer) }
    if let method = try firstValues.chosen {
      print(
        try method.apply(to: model, network, train, optimizer: .adam(), batch: batch))
    }
    let report = try model.probe(
      train, loss: network.loss,
      options: ProbeOptions(batches: batches, batchSize: batch, curvatureIterations: products))
    print(report)
    if let json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try DataFile.write(Array(encoder.encode(report)) + [UInt8(ascii: "\n")], to: json)
    }
    if let out {
      let page = report.html(subject: "\(network.model) on \(source.description), seed \(seed)")
      try DataFile.write(Array(page.utf8), to: out)
    }
  }
}
