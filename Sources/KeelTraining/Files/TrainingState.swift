import FoundationEssentials
import KeelBackend
import KeelData
import KeelNN
import KeelStability

/// What a checkpoint keeps besides tensors and counts, as JSON in its metadata: it is of the same
/// instant as the tensors, whatever files beside it say.
struct TrainingState: Codable {
  /// What is frozen, calibrated and folded.
  var modes: ModelModes
  /// The model's precision; nil in files of earlier versions: float32.
  var precision: Precision?
  var techniques: TechniqueState
  var skips: SkipCounts
  var plateau: PlateauReducer?
  var excluded: [BatchPosition]

  init(_ trainer: Trainer) throws(TrainingError) {
    modes = trainer.model.modes
    precision = trainer.model.precision
    techniques = trainer.updater.techniques.state
    skips = try training { () throws(TensorError) in try trainer.updater.skipCounts() }
    plateau = trainer.plateau
    excluded = trainer.excluded.sorted()
  }

  /// Reads what ``text`` gave; nil if it is something else.
  init?(_ text: String?) {
    guard let text else { return nil }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let state = try? decoder.decode(TrainingState.self, from: Data(text.utf8)) else {
      return nil
    }
    self = state
  }

  /// One line of JSON.
  var text: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("plain values that have no JSON")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// Why a training cannot go on from here, or nil.
  func complaint(for trainer: Trainer) -> String? {
    let (theirs, own) = (precision ?? .float32, trainer.model.precision)
    if theirs != own {
      return "was trained with precision \(theirs.rawValue), this model computes with "
        + "\(own.rawValue): make the model with precision .\(theirs.rawValue)"
    }
    if let problem = techniques.complaint(for: trainer.updater.techniques) { return problem }
    if let problem = trainer.model.complaint(about: modes) {
      return "is of another model: \(problem)"
    }
    return nil
  }

  /// Lets a training go on from here.
  func restore(_ trainer: Trainer) throws(TrainingError) {
    try training { () throws(TensorError) in try trainer.model.adopt(modes) }
    trainer.updater.techniques.state = techniques
    trainer.plateau = plateau
    trainer.excluded = Set(excluded)
  }
}
