import ArgumentParser
import FoundationEssentials
import Keel
import KeelBackend

/// All that one `keel train` works with: a new run, or one that goes on.
struct TrainingJob {
  let trainer: Trainer
  let train: Dataset
  let test: Dataset
  let folder: RunFolder
  let epochs: Int
  let batch: Int
  let accumulate: Int
  let augmentation: Augmentation?
  let seed: UInt64
  /// Measures the device if asked for.
  let profiler: ProfilingBackend?

  /// A new run as the options say. Everything is checked before anything is written.
  init(_ command: TrainCommand, quietly: Bool = false) throws {
    var source = DataSource(command.data)
    if command.quick {
      source.train = source.train ?? 2000
      source.test = source.test ?? 500
    }
    folder = try RunFolder(new: command.out ?? Self.freeFolder(), data: source.record)
    (train, test) = try source.load()
    let device: Device
    (device, profiler) = try Self.open(command, quietly)
    if !quietly {
      print("data: \(source.description), \(train.count) to train, \(test.count) to test")
    }
    let recipe = command.network.recipe(classes: train.classCount)
    let model = try Model(
      recipe, input: train.exampleShape, device: device, seed: command.seed,
      precision: command.precision.chosen)
    if let initializer = try command.network.chosenInitializer {
      try model.initialize(initializer)
    }
    if let method = try command.firstValues.chosen {
      let done = try method.apply(
        to: model, command.network, train, optimizer: command.descent.chosen,
        batch: command.batch)
      if !quietly { print(done) }
    }
    var stability = try command.stability.chosen
    stability.lossScale = command.precision.chosenLossScale
    try command.techniques.add(to: &stability)
    trainer = try model.compile(
      optimizer: command.descent.chosen, loss: command.network.loss,
      schedule: command.stability.chosenSchedule, plateau: command.stability.chosenPlateau,
      stability: stability, pair: command.techniques.pair)
    epochs = command.quick ? min(command.epochs, 2) : command.epochs
    batch = command.batch
    accumulate = command.accumulate
    augmentation = try command.changes.chosen
    seed = command.seed
  }

  /// The run in a folder, from where it stopped, with its own options.
  init(resuming path: String, _ command: TrainCommand, quietly: Bool = false) throws {
    folder = try RunFolder(existing: path)
    let description = try folder.description()
    let plan = description.plan
    guard !description.progress.isComplete else {
      throw ExitStatus.badInput(
        "\(path): the run is complete, \(plan.lastEpoch) epochs; start another with --out")
    }
    let source = DataSource(recorded: folder.data, overriddenBy: command.data)
    (train, test) = try source.load()
    let device: Device
    (device, profiler) = try Self.open(command, quietly)
    trainer = try folder.trainer(on: device)
    if description.device == device.info,
      description.tuning?.fingerprint != device.tuning?.fingerprint
    {
      KeelCommand.complain(
        "warning: \(path) began with other tuned kernels than this device has now; sums are "
          + "added in another order, so the result is not equal to the bit to one without a stop")
    }
    if let began = description.products, began != device.productPrecision {
      KeelCommand.complain(
        "warning: \(path) began with products of \(began.rawValue) operands and goes on with "
          + device.productPrecision.rawValue)
    }
    if !quietly {
      print(
        "going on with \(path): epoch \(description.progress.epochs + 1) of \(plan.lastEpoch), "
          + "step \(description.progress.steps)")
    }
    epochs = plan.lastEpoch - plan.firstEpoch + 1
    batch = plan.batchSize
    accumulate = plan.gradientAccumulation
    augmentation = plan.augmentation
    seed = plan.seed
  }

  private static func open(
    _ command: TrainCommand, _ quietly: Bool
  ) throws -> (device: Device, profiler: ProfilingBackend?) {
    let chosen = try command.device.open(quietly: quietly)
    try command.products.apply(to: chosen, quietly: quietly)
    let device = command.shadow.watching(chosen)
    guard command.profile else { return (device, nil) }
    let profiler = ProfilingBackend(device.backend)
    return (Device(profiler), profiler)
  }

  /// The first of runs/1, runs/2, … that is not there.
  private static func freeFolder() -> String {
    var number = 1
    while FileManager.default.fileExists(atPath: "runs/\(number)") { number += 1 }
    return "runs/\(number)"
  }
}
