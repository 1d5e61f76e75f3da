import KeelBackend

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
  /// How many of its steps were left out.
  public var skippedSteps: Int
  /// The mean loss over the validation examples at its end.
  public var validationLoss: Double?
  /// The part of the validation examples that was right at its end.
  public var validationAccuracy: Double?
  /// How long the pass took.
  public var seconds: Double

  package init(
    epoch: Int, step: UInt64, loss: Double, accuracy: Double?, gradientNorm: Double,
    clippedFraction: Double, skippedSteps: Int, validationLoss: Double?,
    validationAccuracy: Double?, seconds: Double
  ) {
    self.epoch = epoch
    self.step = step
    self.loss = loss
    self.accuracy = accuracy
    self.gradientNorm = gradientNorm
    self.clippedFraction = clippedFraction
    self.skippedSteps = skippedSteps
    self.validationLoss = validationLoss
    self.validationAccuracy = validationAccuracy
    self.seconds = seconds
  }
}

/// What a training went through.
public struct History: Hashable, Sendable {
  /// The passes over the data, complete ones only.
  public var epochs: [EpochRecord] = []
  /// The steps, those that were left out included.
  public var steps: [StepRecord] = []
  /// The norm of each parameter's gradient over the steps.
  public internal(set) var gradients = GradientTrace()

  /// The steps that went wrong, those that were gone back from included.
  public internal(set) var faults: [FaultRecord] = []

  /// Nothing yet.
  public init() {}

  /// What there was at a point of a training, for going on from there.
  func until(step: UInt64) -> History {
    var history = History()
    history.epochs = epochs.filter { $0.step <= step }
    history.steps = steps.filter { $0.step <= step }
    history.gradients = gradients.until(step: step)
    history.faults = faults
    return history
  }

  /// The epochs as a table with a header, one line each.
  public var csv: String {
    var text = "epoch,step,loss,accuracy,gradient_norm,clipped_fraction,skipped_steps,"
    text += "validation_loss,validation_accuracy,seconds\n"
    func cell(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    for epoch in epochs {
      text += "\(epoch.epoch),\(epoch.step),\(epoch.loss),\(cell(epoch.accuracy)),"
      text += "\(epoch.gradientNorm),\(epoch.clippedFraction),\(epoch.skippedSteps),"
      text += "\(cell(epoch.validationLoss)),"
      text += "\(cell(epoch.validationAccuracy)),\(epoch.seconds.fixed(3))\n"
    }
    return text
  }
}

extension History: Codable {
  private enum Key: String, CodingKey { case epochs, steps, gradients, faults }

  /// Reads what ``encode(to:)`` wrote.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    epochs = try values.decode([EpochRecord].self, forKey: .epochs)
    guard let steps = try values.decode(StepColumns.self, forKey: .steps).records else {
      throw DecodingError.dataCorruptedError(
        forKey: .steps, in: values, debugDescription: "columns of different lengths")
    }
    self.steps = steps
    gradients = try values.decode(GradientTrace.self, forKey: .gradients)
    faults = try values.decode([FaultRecord].self, forKey: .faults)
    guard gradients.isConsistent else {
      throw DecodingError.dataCorruptedError(
        forKey: .gradients, in: values, debugDescription: "rows of different lengths")
    }
  }

  /// Writes the epochs as objects and the steps as columns.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(epochs, forKey: .epochs)
    try values.encode(StepColumns(steps), forKey: .steps)
    try values.encode(gradients, forKey: .gradients)
    try values.encode(faults, forKey: .faults)
  }
}
