import ArgumentParser
import Keel

/// The options that choose a network and its loss.
struct NetworkOptions: ParsableArguments {
  @Option(help: "digits-cnn or mlp.")
  var model = "digits-cnn"

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("The widths of an mlp's hidden layers.", valueName: "width"))
  var hidden: [Int] = [128]

  @Option(help: "The part of hidden outputs that an mlp drops while training, in 0 ..< 1.")
  var dropout: Float = 0

  @Option(help: "Label smoothing of the cross-entropy, in 0 ..< 1.")
  var labelSmoothing: Float = 0

  func validate() throws {
    guard ModelRecipe.names.contains(model) else {
      throw ValidationError(
        "There is no model '\(model)'; there are: \(ModelRecipe.names.joined(separator: ", ")).")
    }
    if let width = hidden.first(where: { $0 < 1 }) {
      throw ValidationError("--hidden widths must be at least 1, got \(width).")
    }
  }

  /// The network for a number of classes.
  func recipe(classes: Int) -> ModelRecipe {
    model == "mlp"
      ? .mlp(hidden: hidden, classes: classes, dropout: dropout) : .digitsCNN(classes: classes)
  }

  /// The loss.
  var loss: Loss { .softmaxCrossEntropy(labelSmoothing: labelSmoothing) }
}

/// The options that choose how gradients become steps.
struct OptimizerOptions: ParsableArguments {
  @Option(help: "sgd, adam or adamw.")
  var optimizer = "adam"

  @Option(help: "Learning rate. Default: 0.001, for sgd 0.05.")
  var lr: Float?

  @Option(help: "Momentum of sgd.")
  var momentum: Float = 0.9

  @Flag(help: "Nesterov's momentum for sgd.")
  var nesterov = false

  @Option(help: "Weight decay: added to the gradient, decoupled for adamw.")
  var weightDecay: Float?

  @Option(help: "Clips the norm of all gradients together to this limit.")
  var clipGlobalNorm: Float?

  func validate() throws {
    guard ["sgd", "adam", "adamw"].contains(optimizer) else {
      throw ValidationError("There is no optimizer '\(optimizer)'; there are: sgd, adam, adamw.")
    }
    if nesterov, optimizer != "sgd" { throw ValidationError("--nesterov belongs to sgd.") }
    for (name, value) in [("--lr", lr), ("--clip-global-norm", clipGlobalNorm)] {
      if let value, !(value.isFinite && value > 0) {
        throw ValidationError("\(name) must be finite and above 0, got \(value).")
      }
    }
  }

  /// The optimizer; its other options are checked where it meets the model.
  var chosen: Optimizer {
    switch optimizer {
    case "sgd":
      .sgd(
        learningRate: lr ?? 0.05, momentum: momentum, nesterov: nesterov,
        weightDecay: weightDecay ?? 0)
    case "adamw": .adamW(learningRate: lr ?? 1e-3, weightDecay: weightDecay ?? 1e-2)
    default: .adam(learningRate: lr ?? 1e-3, weightDecay: weightDecay ?? 0)
    }
  }
}
