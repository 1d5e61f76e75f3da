import ArgumentParser
import Keel

/// The options that choose a network and its loss.
struct NetworkOptions: ParsableArguments {
  @Option(help: "digits-cnn, mlp, resnet18, densenet, lstm or conv-lstm.")
  var model = "digits-cnn"

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "The widths of an mlp's hidden layers. Default: 128.", valueName: "width"))
  var hidden: [Int] = []

  @Option(
    parsing: .unconditional,
    help: "The part of hidden outputs that an mlp drops while training, in 0 ..< 1.")
  var dropout: Float?

  @Option(help: "What normalises in a resnet18: batch, group or none. Default: batch.")
  var norm: String?

  @Option(parsing: .unconditional, help: "The depth of a densenet: 6 n + 4. Default: 40.")
  var depth: Int?

  @Option(
    parsing: .unconditional, help: "The filters that each layer of a densenet adds. Default: 12.")
  var growth: Int?

  @Option(parsing: .unconditional, help: "Label smoothing of the cross-entropy, in 0 ..< 1.")
  var labelSmoothing: Float = 0

  @Option(
    name: .customLong("init"), parsing: .unconditional,
    help: ArgumentHelp(
      "How weights get their first values: \(Initializer.names.joined(separator: ", ")). "
        + "Default: as the layers say.", valueName: "name"))
  var initializer: String?

  func validate() throws {
    do { _ = try chosenInitializer } catch { throw ValidationError("--init: \(error)") }
    guard ModelRecipe.names.contains(model) else {
      throw ValidationError(
        "There is no model '\(model)'; there are: \(ModelRecipe.names.joined(separator: ", ")).")
    }
    guard model == "mlp" || (hidden.isEmpty && dropout == nil) else {
      throw ValidationError("--hidden and --dropout belong to --model mlp.")
    }
    guard model == "resnet18" || norm == nil else {
      throw ValidationError("--norm belongs to --model resnet18.")
    }
    guard NetworkNorm(rawValue: norm ?? "batch") != nil else {
      let known = NetworkNorm.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("There is no norm '\(norm ?? "")'; there are: \(known).")
    }
    guard model == "densenet" || (depth == nil && growth == nil) else {
      throw ValidationError("--depth and --growth belong to --model densenet.")
    }
    if let depth, depth < 10 || (depth - 4) % 6 != 0 {
      throw ValidationError("--depth must be 6 n + 4 and at least 10, got \(depth).")
    }
    if let growth, growth < 1 {
      throw ValidationError("--growth must be at least 1, got \(growth).")
    }
    if let width = hidden.first(where: { $0 < 1 }) {
      throw ValidationError("--hidden widths must be at least 1, got \(width).")
    }
    for (name, value) in [("--dropout", dropout ?? 0), ("--label-smoothing", labelSmoothing)]
    where !(value >= 0 && value < 1) {
      throw ValidationError("\(name) must be at least 0 and below 1, got \(value).")
    }
  }

  /// The network for a number of classes.
  func recipe(classes: Int) -> ModelRecipe {
    switch model {
    case "mlp":
      .mlp(hidden: hidden.isEmpty ? [128] : hidden, classes: classes, dropout: dropout ?? 0)
    case "lstm": .lstmClassifier(units: 64, classes: classes)
    case "conv-lstm": .convolutionalLSTM(classes: classes)
    case "resnet18":
      .resNet18(classes: classes, norm: norm.flatMap(NetworkNorm.init) ?? .batch)
    case "densenet": .denseNet(depth: depth ?? 40, growth: growth ?? 12, classes: classes)
    default: .digitsCNN(classes: classes)
    }
  }

  /// What replaces the initialisers of the layers, if anything does.
  var chosenInitializer: Initializer? {
    get throws(TensorError) {
      guard let initializer else { return nil }
      return try Initializer(named: initializer)
    }
  }

  /// The loss.
  var loss: Loss { .softmaxCrossEntropy(labelSmoothing: labelSmoothing) }
}
