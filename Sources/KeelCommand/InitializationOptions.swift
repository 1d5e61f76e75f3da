import ArgumentParser
import Keel
import KeelAutograd
import KeelBackend
import KeelData
import KeelStability
import KeelTraining

/// The option that fits first values to the data or the optimizer.
struct InitializationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Fits the first values: lsuv (variance 1 in each layer, seen on 256 examples), fixup \
      (residual networks without normalisation), mup[:WIDTH] (the learning rate of a network as \
      narrow as that holds), gradinit[:GAMMA] (the best first step, seen on one batch, with |g| \
      of at most GAMMA, usually 1).
      """, valueName: "method"))
  var initMethod: String?

  func validate() throws { _ = try chosen }

  /// The method, or nil for none.
  var chosen: InitializationMethod? {
    get throws {
      guard let initMethod else { return nil }
      guard let method = InitializationMethod(parsing: initMethod) else {
        throw ValidationError(
          "--init-method is lsuv, fixup, mup[:WIDTH] or gradinit[:GAMMA], got '\(initMethod)'.")
      }
      return method
    }
  }

  /// Throws where the method does not go with the other options.
  func validate(
    with network: NetworkOptions, _ descent: OptimizerOptions, _ stability: StabilityOptions
  ) throws {
    guard let method = try chosen else { return }
    try method.validate(for: network)
    try method.validate(for: descent)
    if stability.unitNorm {
      throw ValidationError(
        "--init-method fits the sizes of weights, and --unit-norm sets each to 1 at the first "
          + "step: leave out one of them.")
    }
  }
}

/// A way to fit first values.
enum InitializationMethod: Hashable {
  case lsuv
  case fixup
  /// As a network of this width would train.
  case mup(width: Int?)
  /// With this norm of the gradient at most.
  case gradInit(gamma: Double)

  init?(parsing text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let (width, gamma) = (Int(parts.last ?? ""), Double(parts.last ?? ""))
    switch (parts[0], parts.count) {
    case ("lsuv", 1): self = .lsuv
    case ("fixup", 1): self = .fixup
    case ("mup", 1): self = .mup(width: nil)
    case ("mup", 2) where (width ?? 0) >= 1: self = .mup(width: width)
    case ("gradinit", 1): self = .gradInit(gamma: 1)
    case ("gradinit", 2):
      guard let gamma, gamma.isFinite, gamma > 0 else { return nil }
      self = .gradInit(gamma: gamma)
    default: return nil
    }
  }

  /// Throws where the method does not suit the network.
  func validate(for network: NetworkOptions) throws {
    switch self {
    case .lsuv, .gradInit: break
    case .fixup:
      guard network.model == "resnet18", network.norm == "none" else {
        throw ValidationError(
          "--init-method fixup is for residual networks without normalisation: choose "
            + "--model resnet18 --norm none.")
      }
    case .mup:
      guard network.initializer == nil else {
        throw ValidationError(
          "--init-method mup draws the weights itself, with variances of its own; leave out --init."
        )
      }
      _ = try base(of: network, classes: 2)
    }
  }

  /// Throws where the method does not suit the optimizer.
  func validate(for descent: OptimizerOptions) throws {
    guard descent.optimizer == "mirror" else { return }
    switch self {
    case .lsuv, .fixup: break
    case .mup, .gradInit:
      throw ValidationError(
        "--init-method \(name) is worked out for the steps of sgd and adam, not for those of "
          + "--optimizer mirror.")
    }
  }

  var name: String {
    switch self {
    case .lsuv: "lsuv"
    case .fixup: "fixup"
    case .mup: "mup"
    case .gradInit: "gradinit"
    }
  }

  /// The same network as narrow as muP is to act; by default half as wide.
  private func base(of network: NetworkOptions, classes: Int) throws -> ModelRecipe {
    guard case .mup(let width) = self else { return network.recipe(classes: classes) }
    let widths: [Int]
    switch network.recipe(classes: classes) {
    case .mlp(let hidden, _, _, _): widths = hidden
    case .denseNet(_, let growth, _, _): widths = [growth]
    default:
      throw ValidationError(
        "--init-method mup compares networks of two widths: choose --model mlp (--hidden) or "
          + "densenet (--growth).")
    }
    let narrow = widths.map { width ?? max(1, $0 / 2) }
    if let place = narrow.indices.first(where: { narrow[$0] > widths[$0] }) {
      throw ValidationError(
        "--init-method mup:\(narrow[place]) needs a width of at least that, got \(widths[place]).")
    }
    switch network.recipe(classes: classes) {
    case .mlp(_, _, let activation, let dropout):
      return .mlp(hidden: narrow, classes: classes, activation: activation, dropout: dropout)
    case .denseNet(let depth, _, let compression, _):
      return .denseNet(
        depth: depth, growth: narrow[0], compression: compression, classes: classes)
    case let other: return other
    }
  }

  /// Gives a model its first values, and says what was done.
  ///
  /// - Parameters:
  ///   - optimizer: that of the training, for methods that ask for it.
  ///   - batch: examples of one step.
  func apply(
    to model: Model, _ network: NetworkOptions, _ train: Dataset, optimizer: Optimizer, batch: Int
  ) throws -> String {
    switch self {
    case .lsuv:
      let (inputs, _) = try examples(256, of: train, for: model)
      return text(
        try model.initializeLSUV(on: inputs, orthonormalFill: network.initializer == nil))
    case .fixup:
      return text(try model.initializeFixup(network.chosenInitializer ?? .heNormal))
    case .mup:
      let recipe = try base(of: network, classes: train.classCount)
      let base = try Model(
        recipe, input: model.inputShape, device: model.device, seed: model.seed,
        precision: model.precision)
      return text(try model.initializeMuP(base: base, for: optimizer))
    case .gradInit(let gamma):
      let (inputs, labels) = try examples(batch, of: train, for: model)
      let isAdam = if case .adam = optimizer.rule { true } else { false }
      let search = GradInit(
        learningRate: optimizer.learningRate, step: isAdam ? .sign : .gradient, gamma: gamma)
      return text(
        try model.initializeGradInit(on: inputs, labels, loss: network.loss, search))
    }
  }

  /// The first examples of the first epoch, as they are.
  private func examples(
    _ count: Int, of train: Dataset, for model: Model
  ) throws -> (inputs: Tensor, labels: Tensor) {
    let loader = try BatchLoader(
      train, batchSize: min(count, train.count), shuffleSeed: model.seed)
    guard
      let batch = loader.batches(from: BatchPosition(epoch: 0), to: BatchPosition(epoch: 1)).next()
    else { throw ExitStatus.badInput("--init-method \(name) needs training examples") }
    return (
      try inputTensor(batch.features, shape: batch.shape, on: model.device),
      try Tensor(batch.labels, shape: [batch.count], on: model.device)
    )
  }
}
