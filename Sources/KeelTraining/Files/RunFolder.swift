import FoundationEssentials
import Glibc
public import KeelBackend
import KeelData
import KeelNN
import KeelStability

/// The folder of a run: `run.json`, `checkpoint.safetensors`, `history.csv`, `history.json`,
/// `flight.json` and `report.html`. Every file is replaced as a whole: its name shows the old or
/// the new content.
public struct RunFolder: Sendable, Hashable {
  /// The path of the folder.
  public let path: String
  /// What the run says of its data.
  public var data: [String: String]

  /// How many of the last steps `flight.json` holds, which is written about once a second; with 0
  /// it is not written.
  public var flightSteps = 64 {
    didSet { flightSteps = min(max(flightSteps, 0), 4096) }
  }

  /// The description of the run.
  public var descriptionPath: String { path + "/run.json" }
  /// Weights, states and moments.
  public var checkpointPath: String { path + "/checkpoint.safetensors" }
  /// The history as a table.
  public var historyPath: String { path + "/history.csv" }
  /// The history with all steps.
  public var stepsPath: String { path + "/history.json" }
  /// The last steps, for after a training that ended badly.
  public var flightPath: String { path + "/flight.json" }
  /// The page with the plots.
  public var reportPath: String { path + "/report.html" }

  /// A folder for a new run; nothing is made yet.
  ///
  /// - Parameter data: what the run says of its data.
  /// - Throws: ``TrainingError/folder(path:problem:)`` when there is a file of that name, or a
  ///   folder that is not empty.
  public init(
    new path: String, data: [String: String] = [:]
  ) throws(TrainingError) {
    self.path = path
    self.data = data
    guard DataFile.exists(path) else { return }
    guard DataFile.isFolder(path) else {
      throw .folder(path: path, problem: "is a file, not a folder")
    }
    if DataFile.exists(descriptionPath) {
      throw .folder(
        path: path, problem: "holds another run; resume it or choose another folder")
    }
    if DataFile.exists(flightPath) {
      throw .folder(
        path: path,
        problem: "holds the last steps of a run that saved nothing; choose another folder")
    }
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path), names.isEmpty
    else { throw .folder(path: path, problem: "is not empty; choose another folder") }
  }

  /// The folder of a run that there is.
  ///
  /// - Throws: ``TrainingError`` when it holds no run.
  public init(existing path: String) throws(TrainingError) {
    self.path = path
    data = [:]
    guard DataFile.exists(path + "/run.json") else {
      throw .folder(path: path, problem: "holds no run: there is no run.json in it")
    }
    data = try description().data
  }

  /// A folder as it is.
  init(unchecked path: String) {
    self.path = path
    data = [:]
  }

  /// The contents of `run.json`.
  ///
  /// - Throws: ``TrainingError/checkpoint(path:problem:)`` when it is not what a training wrote.
  public func description() throws(TrainingError) -> RunDescription {
    let text: RunDescription = try read(descriptionPath)
    guard text.version == 2 else {
      throw .checkpoint(
        path: descriptionPath, problem: "has version \(text.version), this program reads 2")
    }
    let isUsable =
      text.plan.batchSize >= 1 && text.plan.gradientAccumulation >= 1 && text.plan.examples >= 1
      && text.plan.firstEpoch >= 1 && text.input.allSatisfy { $0 >= 0 }
    guard isUsable else {
      throw .checkpoint(path: descriptionPath, problem: "holds numbers out of range")
    }
    return text
  }

  /// The history of the run.
  ///
  /// - Throws: ``TrainingError`` when it cannot be read.
  public func history() throws(TrainingError) -> History { try read(stepsPath) }

  /// The last steps of the run and how it ended.
  ///
  /// - Throws: ``TrainingError`` when there is no such file, or it is damaged.
  public func flight() throws(TrainingError) -> FlightRecord {
    let record: FlightRecord = try read(flightPath)
    guard record.version == 1 else {
      throw .checkpoint(
        path: flightPath, problem: "has version \(record.version), this program reads 1")
    }
    return record
  }

  /// Builds the run's model on a device and brings it to where the run is.
  ///
  /// - Throws: ``TrainingError`` when a file is damaged, or the model had no recipe: then compile
  ///   it and call ``Trainer/restore(from:)``.
  public func trainer(on device: Device) throws(TrainingError) -> Trainer {
    let text = try description()
    guard let recipe = text.model else {
      throw .folder(
        path: path, problem: "holds a model of one's own; compile it and restore the run into it")
    }
    let model = try training { () throws(TensorError) in
      try Model(
        recipe, input: Shape(text.input), device: device, seed: text.seed,
        precision: text.precision ?? .float32)
    }
    let trainer = try model.compile(
      optimizer: text.optimizer, loss: text.loss, metrics: text.metrics,
      schedule: text.schedule, plateau: text.plateau,
      stability: text.stability, pair: text.pair)
    try trainer.restore(from: self)
    return trainer
  }

  /// Makes the folder, so that a path that cannot be written is found before training.
  ///
  /// - Returns: whether there was none before.
  func begin(_ trainer: Trainer, _ plan: FitPlan) throws(TrainingError) -> Bool {
    let isNew = !DataFile.exists(path)
    try trainingData { () throws(DataError) in try DataFile.makeFolder(path) }
    guard DataFile.exists(descriptionPath), trainer.unfinished == nil,
      trainer.updater.step == 0
    else { return isNew }
    throw .folder(path: path, problem: "holds another run; resume it or choose another folder")
  }

  /// Removes what a training left that ended before its first save was complete.
  ///
  /// - Parameter keepsFlight: whether the last steps stay, since they tell why it ended.
  func abandon(isNew: Bool, keepsFlight: Bool) {
    guard !DataFile.exists(descriptionPath) else { return }
    unlink(stepsPath)
    unlink(checkpointPath)
    guard !keepsFlight else { return }
    unlink(flightPath)
    if isNew { rmdir(path) }
  }

  /// Writes everything. The checkpoint comes after the history, so that the history always reaches
  /// at least as far.
  func save(_ trainer: Trainer, _ plan: FitPlan) throws(TrainingError) {
    let checkpoint = try Checkpoint.encode(trainer, checkpointPath)
    try write(trainer.history, to: stepsPath)
    try write(bytes: checkpoint, to: checkpointPath)
    let description = RunDescription(trainer, plan, data: data)
    try write(description, to: descriptionPath)
    try write(bytes: Array(trainer.history.csv.utf8), to: historyPath)
    try write(bytes: Array(Report(trainer.history, of: description).html.utf8), to: reportPath)
  }

  private func write(
    bytes: [UInt8], to path: String, isDurable: Bool = true
  ) throws(TrainingError) {
    try trainingData { () throws(DataError) in
      try DataFile.write(bytes, to: path, isDurable: isDurable)
    }
  }

  /// Writes a file as JSON.
  func write(
    _ value: some Encodable, to path: String, isDurable: Bool = true
  ) throws(TrainingError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    if value is History || value is FlightRecord { encoder.outputFormatting = [.sortedKeys] }
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      try write(
        bytes: Array(encoder.encode(value)) + [UInt8(ascii: "\n")], to: path,
        isDurable: isDurable)
    } catch let error as TrainingError {
      throw error
    } catch {
      throw .checkpoint(path: path, problem: "cannot be written as JSON")
    }
  }

  private func read<Value: Decodable>(_ path: String) throws(TrainingError) -> Value {
    let bytes = try trainingData { () throws(DataError) in try DataFile.read(path) }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(Value.self, from: Data(bytes))
    } catch {
      throw .checkpoint(
        path: path, problem: "is not what a training wrote: \(Safetensors.sentence(error))")
    }
  }
}

extension Trainer {
  /// Brings the training to where a run is: weights, states, moments, step, position, history.
  /// The next `fit` goes on from there.
  ///
  /// - Throws: ``TrainingError`` when a file is damaged or of another model; nothing has changed
  ///   then.
  public func restore(from folder: RunFolder) throws(TrainingError) {
    let text = try folder.description()
    let past = try folder.history()
    let bytes = try trainingData { () throws(DataError) in
      try DataFile.read(folder.checkpointPath)
    }
    let isWhole = try Checkpoint.restore(self, bytes, path: folder.checkpointPath)
    if !isWhole { (excluded, plateau) = (Set(text.progress.excluded), text.plateau) }
    if let record = text.initialization {
      try training { () throws(TensorError) in try model.adopt(record) }
    }
    history = past.until(step: updater.step)
    unfinished = position.epoch < text.plan.lastEpoch ? text.plan : nil
  }
}
