import ArgumentParser
import Keel

/// The options that choose a network and its loss.
struct NetworkOptions: ParsableArguments {
  @Option(help: "digits-cnn, mlp, lstm or conv-lstm.")
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

/// The options that choose how gradients become steps.
struct OptimizerOptions: ParsableArguments {
  @Option(help: "sgd, adam or adamw.")
  var optimizer = "adam"

  @Option(parsing: .unconditional, help: "Learning rate. Default: 0.001, for sgd 0.05.")
  var lr: Float?

  @Option(parsing: .unconditional, help: "Momentum of sgd. Default: 0.9.")
  var momentum: Float?

  @Flag(help: "Nesterov's momentum for sgd.")
  var nesterov = false

  @Option(
    parsing: .unconditional,
    help: "Weight decay: added to the gradient, decoupled for adamw.")
  var weightDecay: Float?

  @Option(
    parsing: .unconditional,
    help: "Clips the norm of all gradients together to this limit.")
  var clipGlobalNorm: Float?

  func validate() throws {
    guard ["sgd", "adam", "adamw"].contains(optimizer) else {
      throw ValidationError("There is no optimizer '\(optimizer)'; there are: sgd, adam, adamw.")
    }
    guard optimizer == "sgd" || (!nesterov && momentum == nil) else {
      throw ValidationError("--momentum and --nesterov belong to --optimizer sgd.")
    }
    for (name, value) in [("--lr", lr), ("--clip-global-norm", clipGlobalNorm)] {
      if let value, !(value.isFinite && value > 0) {
        throw ValidationError("\(name) must be finite and above 0, got \(value).")
      }
    }
    do { try chosen.validate() } catch { throw ValidationError("\(error)") }
  }

  /// The optimizer.
  var chosen: Optimizer {
    switch optimizer {
    case "sgd":
      .sgd(
        learningRate: lr ?? 0.05, momentum: momentum ?? 0.9, nesterov: nesterov,
        weightDecay: weightDecay ?? 0)
    case "adamw": .adamW(learningRate: lr ?? 1e-3, weightDecay: weightDecay ?? 1e-2)
    default: .adam(learningRate: lr ?? 1e-3, weightDecay: weightDecay ?? 0)
    }
  }
}
