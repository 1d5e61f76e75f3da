import KeelAutograd
import KeelBackend
import KeelData
public import KeelNN
import KeelStability

extension Model {
  /// Writes parameters and states to a safetensors file, atomically.
  ///
  /// - Throws: ``TrainingError`` when a value is not finite, or the file cannot be written.
  public func save(to path: String) throws(TrainingError) {
    let file = Safetensors(
      metadata: ["format": "keel-model"], entries: try modelEntries(path))
    try trainingData { () throws(DataError) in try DataFile.write(file.encoded(), to: path) }
  }

  /// Replaces parameters and states by those of a file that ``save(to:)`` or a training wrote.
  /// Nothing changes unless everything fits.
  ///
  /// - Throws: ``TrainingError/checkpoint(path:problem:)`` when the file is damaged, of another
  ///   model, or holds values that are not finite.
  public func load(from path: String) throws(TrainingError) {
    let bytes = try trainingData { () throws(DataError) in try DataFile.read(path) }
    let file = try Safetensors(decoding: bytes, path: path)
    let values = try ModelValues(self, file, updater: nil, path: path)
    try values.upload(to: self, nil)
  }

  /// Parameters and states as tensors of a file.
  func modelEntries(_ path: String) throws(TrainingError) -> [Safetensors.Entry] {
    var entries: [Safetensors.Entry] = []
    let flat = try download(arena.parameters)
    for parameter in parameters {
      entries.append(try entry(parameter.name, parameter, flat, path))
    }
    for state in states {
      guard let tensor = state.tensor else { continue }
      let values = try download(tensor.value)
      try requireFinite(values[...], state.name, path)
      entries.append(Safetensors.Entry(name: state.name, shape: state.shape, floats: values))
    }
    return entries
  }

  /// An optimizer's moments as tensors of a file.
  func momentEntries(_ moments: [NDArray], _ path: String) throws(TrainingError)
    -> [Safetensors.Entry]
  {
    var entries: [Safetensors.Entry] = []
    for (number, moment) in moments.enumerated() {
      let flat = try download(moment)
      for parameter in parameters {
        let name = Checkpoint.momentName(number, parameter.name)
        entries.append(try entry(name, parameter, flat, path))
      }
    }
    return entries
  }

  private func entry(
    _ name: String, _ parameter: Parameter, _ flat: [Float], _ path: String
  ) throws(TrainingError) -> Safetensors.Entry {
    let start = parameter.place?.offset ?? 0
    let values = flat[start..<(start + parameter.shape.count)]
    try requireFinite(values, name, path)
    return Safetensors.Entry(name: name, shape: parameter.shape, floats: values)
  }

  private func download(_ array: NDArray) throws(TrainingError) -> [Float] {
    let backend = device.backend
    return try trainingDevice { () throws(DeviceError) in try backend.scalars(array) }
  }
}

private func requireFinite(
  _ values: ArraySlice<Float>, _ name: String, _ path: String
) throws(TrainingError) {
  guard let bad = values.first(where: { !$0.isFinite }) else { return }
  throw .checkpoint(path: path, problem: "'\(name)' holds \(bad), which is never saved or loaded")
}

/// The numbers of a file for a model, checked: names, shapes, types, finite values.
package struct ModelValues {
  private var parameters: [Float]
  private var states: [(StateBuffer, [Float])] = []
  private var moments: [[Float]] = []
  private var carried: [[Float]] = []

  /// - Parameter updater: whose state the file must hold too; nil ignores what it holds of it.
  init(
    _ model: Model, _ file: Safetensors, updater: Updater?, path: String
  ) throws(TrainingError) {
    let count = updater?.moments.count ?? 0
    let stages = updater.map(Checkpoint.carriedArrays) ?? []
    var wanted: [String: Shape] = [:]
    for parameter in model.parameters {
      wanted[parameter.name] = parameter.shape
      for number in 0..<count {
        wanted[Checkpoint.momentName(number, parameter.name)] = parameter.shape
      }
    }
    for state in model.states { wanted[state.name] = state.shape }
    for stage in stages { wanted[stage.name] = stage.array.shape }
    let considered = file.entries.filter {
      updater != nil || !$0.name.hasPrefix(Checkpoint.prefix)
    }
    try ModelValues.compare(wanted, considered, path)
    let found = Dictionary(considered.map { ($0.name, $0.floats) }) { first, _ in first }
    for (name, values) in found { try requireFinite(values[...], name, path) }

    func flat(_ name: (Parameter) -> String) -> [Float] {
      var flat = [Float](repeating: 0, count: model.arena.count)
      for parameter in model.parameters {
        let (start, values) = (parameter.place?.offset ?? 0, found[name(parameter)] ?? [])
        flat.replaceSubrange(start..<(start + values.count), with: values)
      }
      return flat
    }
    parameters = flat(\.name)
    moments = (0..<count).map { number in
      flat { Checkpoint.momentName(number, $0.name) }
    }
    states = model.states.map { ($0, found[$0.name] ?? []) }
    carried = stages.map { found[$0.name] ?? [] }
  }

  /// Throws one sentence that lists what differs.
  private static func compare(
    _ wanted: [String: Shape], _ found: [Safetensors.Entry], _ path: String
  ) throws(TrainingError) {
    var differences: [String] = []
    for entry in found {
      guard let shape = wanted[entry.name] else {
        differences.append("'\(entry.name)' is unknown here")
        continue
      }
      if shape != entry.shape {
        differences.append("'\(entry.name)' is \(entry.shape) there, \(shape) here")
      } else if entry.dtype != .float32 {
        differences.append("'\(entry.name)' is \(entry.dtype) there, float32 here")
      }
    }
    let names = Set(found.map(\.name))
    for name in wanted.keys.sorted() where !names.contains(name) {
      differences.append("'\(name)' lacks there")
    }
    guard !differences.isEmpty else { return }
    let more = differences.count > 6 ? " and \(differences.count - 6) more" : ""
    throw .checkpoint(
      path: path,
      problem: "is of another model: " + differences.prefix(6).joined(separator: ", ") + more)
  }

  func upload(to model: Model, _ updater: Updater?) throws(TrainingError) {
    let arrays = (updater?.moments ?? []) + (updater?.carriedArrays.map(\.array) ?? [])
    let backend = model.device.backend
    try trainingDevice { () throws(DeviceError) in
      try backend.upload(parameters, to: model.arena.parameters)
      for (array, values) in zip(arrays, moments + carried) {
        try backend.upload(values, to: array)
      }
      for (state, values) in states {
        if let tensor = state.tensor { try backend.upload(values, to: tensor.value) }
      }
    }
  }
}

/// A training at one point: all that is needed to go on as if it had never stopped.
package struct Checkpoint {
  /// What the names of all tensors begin with that are not the model's.
  static let prefix = "optimizer."

  static func momentName(_ number: Int, _ parameter: String) -> String {
    "\(prefix)moment\(number + 1).\(parameter)"
  }

  /// What stages carry from step to step.
  static func carriedArrays(_ updater: Updater) -> [(name: String, array: NDArray)] {
    updater.carriedArrays.map { (prefix + $0.name, $0.array) }
  }

  /// The bytes of a checkpoint of the training as it is.
  static func encode(_ trainer: Trainer, _ path: String) throws(TrainingError) -> [UInt8] {
    let entries = try trainer.model.modelEntries(path)
    let moments = try trainer.model.momentEntries(trainer.updater.moments, path)
    var stages: [Safetensors.Entry] = []
    for (name, array) in carriedArrays(trainer.updater) {
      let values: [Float] = try trainingDevice { () throws(DeviceError) in
        try trainer.model.device.backend.scalars(array)
      }
      try requireFinite(values[...], name, path)
      stages.append(Safetensors.Entry(name: name, shape: array.shape, floats: values))
    }
    let updates = try training { () throws(TensorError) in try trainer.updater.updates() }
    return Safetensors(
      metadata: [
        "format": "keel-checkpoint", "version": "3",
        "epoch": "\(trainer.position.epoch)", "batch": "\(trainer.position.step)",
        "step": "\(trainer.updater.step)", "updates": "\(updates)",
        "learning_rate": "\(trainer.updater.learningRate)",
        "optimizer": trainer.updater.optimizer.name, "state": try TrainingState(trainer).text,
      ], entries: entries + moments + stages
    ).encoded()
  }

  /// Brings a training to where a checkpoint was made. Nothing changes unless everything fits.
  ///
  /// - Returns: whether the file held the whole ``TrainingState``; the second form did not.
  static func restore(
    _ trainer: Trainer, _ bytes: [UInt8], path: String
  ) throws(TrainingError) -> Bool {
    let file = try Safetensors(decoding: bytes, path: path)
    guard file.metadata["format"] == "keel-checkpoint",
      let version = file.metadata["version"], ["2", "3"].contains(version),
      let epoch = file.metadata["epoch"].flatMap({ Int($0) }), epoch >= 0,
      let batch = file.metadata["batch"].flatMap({ Int($0) }), batch >= 0,
      let step = file.metadata["step"].flatMap({ UInt64($0) }),
      let updates = file.metadata["updates"].flatMap({ UInt64($0) }), updates <= step,
      let rate = file.metadata["learning_rate"].flatMap({ Float($0) }), rate > 0, rate.isFinite
    else {
      throw .checkpoint(path: path, problem: "is not a checkpoint of a training")
    }
    let name = trainer.updater.optimizer.name
    guard file.metadata["optimizer"] == name else {
      throw .checkpoint(
        path: path,
        problem: "was trained with \(file.metadata["optimizer"] ?? "no optimizer"), not \(name)")
    }
    let state = try state(of: file, version: version, for: trainer, path)
    let values = try ModelValues(trainer.model, file, updater: trainer.updater, path: path)
    try values.upload(to: trainer.model, trainer.updater)
    trainer.updater.learningRate = rate
    try training { () throws(TensorError) in
      try trainer.updater.restore(
        step: step, updates: updates, skips: state?.skips ?? SkipCounts())
    }
    try state?.restore(trainer)
    trainer.position = BatchPosition(epoch: epoch, step: batch)
    return state != nil
  }

  /// The state that a file holds; nil in the second form, which kept none.
  private static func state(
    of file: Safetensors, version: String, for trainer: Trainer, _ path: String
  ) throws(TrainingError) -> TrainingState? {
    if version == "2" {
      let lost = trainer.updater.unknownToOldCheckpoints
      guard lost.isEmpty else {
        throw .checkpoint(
          path: path,
          problem: "was written by an earlier version, which did not keep the state of "
            + "\(lost.joined(separator: " and ")): go on without, or train anew")
      }
      return nil
    }
    guard let state = TrainingState(file.metadata["state"]) else {
      throw .checkpoint(path: path, problem: "holds no state of the training that can be read")
    }
    if let problem = state.complaint(for: trainer) {
      throw .checkpoint(path: path, problem: problem)
    }
    return state
  }
}
