public import KeelBackend
public import KeelData
public import KeelNN
public import KeelStability

/// What a run is, for people and for going on with it: the contents of `run.json`.
public struct RunDescription: Hashable, Sendable, Codable {
  /// The version of this form.
  public var version = 2
  /// The model, if it was made from a recipe.
  public var model: ModelRecipe?
  /// What the initialisation left, if it was not as the model's layers declare it.
  public var initialization: InitializationRecord?
  /// The type of activations and working weights; nil in files of earlier versions: float32.
  public var precision: Precision?
  /// The extents of one input.
  public var input: [Int]
  /// How many numbers the parameters have.
  public var parameters: Int
  /// The optimizer.
  public var optimizer: Optimizer
  /// The loss.
  public var loss: Loss
  /// What is counted.
  public var metrics: [Metric]
  /// How the learning rate moves.
  public var schedule: Schedule
  /// What lowers the learning rate when a metric has stopped getting better, and what it has seen.
  public var plateau: PlateauReducer?
  /// What keeps the steps upright.
  public var stability: Stability
  /// A ranking term beside the loss.
  public var pair: PairTerm?
  /// The seed of the model.
  public var seed: UInt64
  /// What the current `fit` is to do.
  public var plan: FitPlan
  /// What the caller says of the data, such as the folder.
  public var data: [String: String]
  /// The device it ran on last.
  public var device: DeviceDescription
  /// The program that it ran with last.
  public var build: BuildDescription?
  /// The kernels that it ran otherwise than planned, where the device was tuned.
  public var tuning: TuningRecord?
  /// How matrix products took their operands, where it is recorded.
  public var products: ProductPrecision?
  /// How many steps the device repeated from a record since the training began or last went on, and
  /// why it did not, or not all; nil in files of earlier versions.
  public var capture: CaptureSummary?
  /// How far it is.
  public var progress: Progress

  /// How far a run is.
  public struct Progress: Hashable, Sendable, Codable {
    /// Complete epochs.
    public var epochs: Int
    /// Batches done after them.
    public var batches: Int
    /// Updates done.
    public var steps: UInt64
    /// Whether the plan is done.
    public var isComplete: Bool
    /// Batches that are left out.
    public var excluded: [BatchPosition]
  }

  init(_ trainer: Trainer, _ plan: FitPlan, data: [String: String]) {
    let model = trainer.model
    self.model = model.recipe
    initialization = model.initializationRecord
    precision = model.precision
    input = model.inputShape.extents
    parameters = model.parameterCount
    optimizer = trainer.updater.optimizer
    loss = trainer.loss
    metrics = trainer.metrics
    schedule = trainer.updater.schedule
    plateau = trainer.plateau
    pair = trainer.pair
    stability = trainer.updater.stability
    seed = model.seed
    self.plan = plan
    self.data = data
    device = model.device.info
    build = .current
    tuning = model.device.tuning
    products = model.device.productPrecision
    capture = trainer.capture
    progress = Progress(
      epochs: trainer.position.epoch, batches: trainer.position.step,
      steps: trainer.updater.step, isComplete: trainer.position.epoch >= plan.lastEpoch,
      excluded: trainer.excluded.sorted())
  }
}
