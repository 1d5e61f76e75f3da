import KeelBackend
public import KeelData
public import KeelNN
public import KeelStability

extension Model {
  /// Joins the model with what training needs.
  ///
  /// - Parameters:
  ///   - schedule: how the learning rate moves.
  ///   - clipGlobalNorm: short for `stability: Stability(clip: [.globalNorm(limit)])`.
  ///   - plateau: lowers the learning rate when a metric has stopped getting better.
  ///   - stability: what keeps the steps upright.
  ///   - pair: a ranking term beside the loss.
  /// - Throws: ``TrainingError/tensor(_:)`` when an option is not usable.
  public func compile(
    optimizer: Optimizer, loss: Loss, metrics: [Metric] = [.accuracy],
    schedule: Schedule = .constant, clipGlobalNorm: Float? = nil,
    plateau: PlateauReducer? = nil, stability: Stability = Stability(), pair: PairTerm? = nil
  ) throws(TrainingError) -> Trainer {
    let updater = try training { () throws(TensorError) in
      try loss.validate()
      try stability.requireUnits(in: self)
      return try Updater(
        optimizer, for: self, schedule: schedule, clipGlobalNorm: clipGlobalNorm,
        stability: stability)
    }
    return Trainer(self, updater, loss: loss, metrics: metrics, plateau: plateau, pair: pair)
  }
}

/// A model with an optimizer and a loss: trains, evaluates, predicts.
///
/// ```swift
/// let trainer = try model.compile(optimizer: .adam(), loss: .softmaxCrossEntropy())
/// try trainer.fit(train, epochs: 10, batchSize: 32, callbacks: [ProgressBar()])
/// print(try trainer.evaluate(test).accuracy ?? 0)
/// ```
public final class Trainer {
  /// The model.
  public let model: Model
  /// The optimizer at work.
  public let updater: Updater
  /// What training makes small.
  public let loss: Loss
  /// What is counted along.
  public let metrics: [Metric]
  /// How often values are read from the device while training.
  public var progressInterval: Duration = .milliseconds(200)
  /// A ranking term beside the loss.
  public let pair: PairTerm?
  /// What is done about warnings before a training.
  public var lintPolicy = LintPolicy.report
  /// What the last `fit` warned about before its first step.
  public internal(set) var warnings: [Diagnostic] = []
  /// What the training went through so far.
  public internal(set) var history = History()

  /// Whether steps are repeated from a record where they can be. For those who compare, not a
  /// choice for users: the weights are the same bits.
  package var capturesSteps = true

  /// What the captures of the last `fit` have done so far.
  package internal(set) var capture: CaptureSummary?

  /// Complete epochs, and batches of the one after them.
  package internal(set) var position = BatchPosition(epoch: 0)
  /// The plan of a `fit` that was stopped: the next call goes on with it.
  package internal(set) var unfinished: FitPlan?

  /// What lowers the learning rate when a metric has stopped getting better.
  public internal(set) var plateau: PlateauReducer?
  /// Batches that training leaves out, since going back found them to be bad.
  package var excluded: Set<BatchPosition> = []

  init(
    _ model: Model, _ updater: Updater, loss: Loss, metrics: [Metric], plateau: PlateauReducer?,
    pair: PairTerm?
  ) {
    self.model = model
    self.updater = updater
    self.loss = loss
    self.metrics = metrics
    self.plateau = plateau
    self.pair = pair
  }

  /// Trains on data, in an order that the seed gives for each epoch.
  ///
  /// Nothing is read from the device in a step: losses stay there and are read a few times a
  /// second. After a stop, or after ``restore(from:)``, the call goes on where the training was;
  /// with equal options the weights are then those of a training that was never stopped, bit for
  /// bit.
  ///
  /// - Parameters:
  ///   - epochs: passes over the data in this call.
  ///   - batchSize: examples that travel through the network together.
  ///   - gradientAccumulation: batches whose mean gradient makes one update.
  ///   - augmentation: random changes of the training examples, fresh in each epoch; validation
  ///     sees the examples as they are.
  ///   - seed: of the order, the split and the augmentation; by default the model's.
  ///   - output: a folder for checkpoints, history and report.
  ///   - stop: a flag that ends the training after a step, such as one that Ctrl-C sets.
  /// - Throws: ``TrainingError``; with `.nonFinite` the last checkpoint is from before.
  @discardableResult
  public func fit(
    _ data: Dataset, epochs: Int, batchSize: Int = 32, validation: Validation = .none,
    gradientAccumulation: Int = 1, augmentation: Augmentation? = nil, seed: UInt64? = nil,
    output: RunFolder? = nil, stop: StopRequest? = nil, callbacks: [any Callback] = []
  ) throws(TrainingError) -> FitResult {
    try requirePositive("epochs", epochs)
    try requirePositive("batch size", batchSize)
    try requirePositive("gradient accumulation", gradientAccumulation)
    try requireAtMost(1 << 30, "epochs", epochs)
    try requireAtMost(1 << 30, "batch size", batchSize)
    guard gradientAccumulation <= StepLog.largestStep else {
      throw .option(
        name: "gradient accumulation", requirement: "at most \(StepLog.largestStep)",
        got: "\(gradientAccumulation)")
    }
    let seed = seed ?? model.seed
    let (train, held) = try divide(data, validation, seed: seed)
    try requireFitting(train)
    if let held { try requireFitting(held) }
    if let metric = plateau?.metric, held == nil,
      metric == .validationLoss || metric == .validationAccuracy
    {
      throw .option(
        name: "plateau", requirement: "validation data to watch the \(metric.rawValue) of",
        got: "none: give fit a validation, or watch the loss")
    }
    let first = unfinished?.firstEpoch ?? position.epoch + 1
    let plan = FitPlan(
      firstEpoch: first, lastEpoch: first + epochs - 1, batchSize: batchSize,
      gradientAccumulation: gradientAccumulation, seed: seed, examples: train.count,
      validationExamples: held?.count ?? 0, augmentation: augmentation)
    if let difference = unfinished?.difference(to: plan) {
      throw .option(
        name: "fit", requirement: "the options of the training it goes on with", got: difference)
    }
    let loader = try trainingData { () throws(DataError) in
      try BatchLoader(
        train, batchSize: batchSize, shuffleSeed: seed, augmentation: augmentation,
        augmentationSeed: seed)
    }
    try lintBeforeTraining(train, held, validation, plan, callbacks)
    let loop = try FitLoop(
      self, plan: plan, loader: loader, validation: held, output: output, stop: stop,
      callbacks: callbacks)
    return try loop.run()
  }

  private func divide(
    _ data: Dataset, _ validation: Validation, seed: UInt64
  ) throws(TrainingError) -> (train: Dataset, validation: Dataset?) {
    switch validation {
    case .none: return (data, nil)
    case .data(let held): return (data, held)
    case .split(let fraction):
      guard fraction > 0, fraction < 1 else {
        throw .option(
          name: "validation", requirement: "a part between 0 and 1", got: "\(fraction)")
      }
      let parts = try trainingData { () throws(DataError) in
        try data.split(trainFraction: 1 - fraction, seed: seed)
      }
      return (parts.train, parts.test)
    }
  }

  /// Throws unless the model can take the data's examples and has an output for each class.
  func requireFitting(_ data: Dataset) throws(TrainingError) {
    guard data.exampleShape == model.inputShape else {
      throw .tensor(
        .shape(
          ShapeError(
            "model", requires: "examples of \(model.inputShape)", got: data.exampleShape)))
    }
    guard case .softmaxCrossEntropy = loss else { return }
    let outputs = model.outputShape.extents.last ?? 1
    if outputs == 1 { throw .lint([Lint.oneUnit(model.layers.last?.name ?? "model")]) }
    guard model.outputShape.rank == 1, data.classCount <= outputs else {
      throw .option(
        name: loss.name, requirement: "as many outputs as classes (\(data.classCount))",
        got: "\(model.outputShape)")
    }
  }
}

/// Throws when a number is too large to count with.
private func requireAtMost(
  _ limit: Int, _ name: String, _ value: Int
) throws(TrainingError) {
  guard value <= limit else {
    throw .option(name: name, requirement: "at most \(limit)", got: "\(value)")
  }
}

/// Throws unless a number is at least 1.
func requirePositive(_ name: String, _ value: Int) throws(TrainingError) {
  guard value >= 1 else { throw .option(name: name, requirement: "at least 1", got: "\(value)") }
}
