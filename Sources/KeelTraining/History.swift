import KeelBackend

/// One update of the parameters.
public struct StepRecord: Hashable, Sendable {
  /// The number of the update, from 1.
  public var step: UInt64
  /// The epoch, from 1.
  public var epoch: Int
  /// How many examples it was made of.
  public var examples: Int
  /// The mean loss of these examples, before the update.
  public var loss: Float
  /// The part of them that was right, if counted.
  public var accuracy: Float?
  /// The norm of all gradients, before clipping.
  public var gradientNorm: Float
  /// What clipping multiplied the gradients by; 1 where it did nothing.
  public var clipCoefficient: Float

  package init(
    step: UInt64, epoch: Int, examples: Int, loss: Float, accuracy: Float?, gradientNorm: Float,
    clipCoefficient: Float
  ) {
    self.step = step
    self.epoch = epoch
    self.examples = examples
    self.loss = loss
    self.accuracy = accuracy
    self.gradientNorm = gradientNorm
    self.clipCoefficient = clipCoefficient
  }
}

/// One pass over the data.
public struct EpochRecord: Hashable, Sendable, Codable {
  /// The epoch, from 1.
  public var epoch: Int
  /// How many updates there were at its end.
  public var step: UInt64
  /// The mean loss over its examples, each as it was met.
  public var loss: Double
  /// The part of them that was right as it was met, if counted.
  public var accuracy: Double?
  /// The mean over its steps of the norm of all gradients, before clipping.
  public var gradientNorm: Double
  /// The part of its steps whose gradients were clipped.
  public var clippedFraction: Double
  /// The mean loss over the validation examples at its end.
  public var validationLoss: Double?
  /// The part of the validation examples that was right at its end.
  public var validationAccuracy: Double?
  /// How long the pass took.
  public var seconds: Double

  package init(
    epoch: Int, step: UInt64, loss: Double, accuracy: Double?, gradientNorm: Double,
    clippedFraction: Double, validationLoss: Double?, validationAccuracy: Double?,
    seconds: Double
  ) {
    self.epoch = epoch
    self.step = step
    self.loss = loss
    self.accuracy = accuracy
    self.gradientNorm = gradientNorm
    self.clippedFraction = clippedFraction
    self.validationLoss = validationLoss
    self.validationAccuracy = validationAccuracy
    self.seconds = seconds
  }
}

/// What a training went through.
public struct History: Hashable, Sendable {
  /// The passes over the data, complete ones only.
  public var epochs: [EpochRecord] = []
  /// The updates.
  public var steps: [StepRecord] = []

  /// Nothing yet.
  public init() {}

  /// What there was at a point of a training, for going on from there.
  func until(step: UInt64) -> History {
    var history = History()
    history.epochs = epochs.filter { $0.step <= step }
    history.steps = steps.filter { $0.step <= step }
    return history
  }

  /// The epochs as a table with a header, one line each.
  public var csv: String {
    var text = "epoch,step,loss,accuracy,gradient_norm,clipped_fraction,"
    text += "validation_loss,validation_accuracy,seconds\n"
    func cell(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    for epoch in epochs {
      text += "\(epoch.epoch),\(epoch.step),\(epoch.loss),\(cell(epoch.accuracy)),"
      text += "\(epoch.gradientNorm),\(epoch.clippedFraction),\(cell(epoch.validationLoss)),"
      text += "\(cell(epoch.validationAccuracy)),\(epoch.seconds.fixed(3))\n"
    }
    return text
  }
}

extension History: Codable {
  private enum Key: String, CodingKey { case epochs, steps }
  private enum StepKey: String, CodingKey {
    case step, epoch, examples, loss, accuracy, gradientNorm, clipCoefficient
  }

  /// Reads what ``encode(to:)`` wrote.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    epochs = try values.decode([EpochRecord].self, forKey: .epochs)
    let columns = try values.nestedContainer(keyedBy: StepKey.self, forKey: .steps)
    let numbers = try columns.decode([UInt64].self, forKey: .step)
    let epoch = try columns.decode([Int].self, forKey: .epoch)
    let examples = try columns.decode([Int].self, forKey: .examples)
    let loss = try columns.decode([Float].self, forKey: .loss)
    let accuracy = try columns.decode([Float?].self, forKey: .accuracy)
    let norm = try columns.decode([Float].self, forKey: .gradientNorm)
    let coefficient = try columns.decode([Float].self, forKey: .clipCoefficient)
    let counts = [
      epoch.count, examples.count, loss.count, accuracy.count, norm.count, coefficient.count,
    ]
    guard counts.allSatisfy({ $0 == numbers.count }) else {
      throw DecodingError.dataCorruptedError(
        forKey: .steps, in: values, debugDescription: "columns of different lengths")
    }
    steps = numbers.indices.map { i in
      StepRecord(
        step: numbers[i], epoch: epoch[i], examples: examples[i], loss: loss[i],
        accuracy: accuracy[i], gradientNorm: norm[i], clipCoefficient: coefficient[i])
    }
  }

  /// Writes the epochs as objects and the steps as columns.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(epochs, forKey: .epochs)
    var columns = values.nestedContainer(keyedBy: StepKey.self, forKey: .steps)
    try columns.encode(steps.map(\.step), forKey: .step)
    try columns.encode(steps.map(\.epoch), forKey: .epoch)
    try columns.encode(steps.map(\.examples), forKey: .examples)
    try columns.encode(steps.map(\.loss), forKey: .loss)
    try columns.encode(steps.map(\.accuracy), forKey: .accuracy)
    try columns.encode(steps.map(\.gradientNorm), forKey: .gradientNorm)
    try columns.encode(steps.map(\.clipCoefficient), forKey: .clipCoefficient)
  }
}
