import KeelBackend
public import KeelStability

/// One step of a training.
public struct StepRecord: Hashable, Sendable {
  /// The number of the step, from 1.
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
  /// The norm of all gradients, after clipping.
  public var clippedNorm: Float
  /// The largest magnitude of all gradients, before clipping.
  public var largestGradient: Float
  /// What clipping multiplied the gradients by; 1 where it did nothing.
  public var clipCoefficient: Float
  /// The learning rate.
  public var learningRate: Float
  /// What became of the step.
  public var outcome: StepOutcome

  package init(
    step: UInt64, epoch: Int, examples: Int, loss: Float, accuracy: Float?, _ report: StepReport
  ) {
    self.step = step
    self.epoch = epoch
    self.examples = examples
    self.loss = loss
    self.accuracy = accuracy
    gradientNorm = report.norm
    clippedNorm = report.clippedNorm
    largestGradient = report.largest
    clipCoefficient = report.factor
    learningRate = report.learningRate
    outcome = report.outcome
  }

  private init(step: UInt64, outcome: StepOutcome) {
    self.step = step
    self.outcome = outcome
    (epoch, examples, loss, accuracy) = (0, 0, 0, nil)
    (gradientNorm, clippedNorm, largestGradient) = (0, 0, 0)
    (clipCoefficient, learningRate) = (1, 0)
  }
}

/// Steps as they stand in files: a column for each number, and the outcomes that the numbers do not
/// tell.
struct StepColumns: Codable {
  private var step: [UInt64]
  private var epoch: [Int]
  private var examples: [Int]
  private var loss: [Float]
  private var accuracy: [Float?]
  private var gradientNorm: [Float]
  private var clippedNorm: [Float]
  private var largestGradient: [Float]
  private var clipCoefficient: [Float]
  private var learningRate: [Float]
  /// By position.
  private var outcomes: [Int: StepOutcome]

  init(_ steps: [StepRecord]) {
    step = steps.map(\.step)
    epoch = steps.map(\.epoch)
    examples = steps.map(\.examples)
    loss = steps.map(\.loss)
    accuracy = steps.map(\.accuracy)
    gradientNorm = steps.map(\.gradientNorm)
    clippedNorm = steps.map(\.clippedNorm)
    largestGradient = steps.map(\.largestGradient)
    clipCoefficient = steps.map(\.clipCoefficient)
    learningRate = steps.map(\.learningRate)
    outcomes = [:]
    for (place, record) in steps.enumerated() where record.outcome != plain(place) {
      outcomes[place] = record.outcome
    }
  }

  /// The outcome of a step of which nothing else is known.
  private func plain(_ place: Int) -> StepOutcome {
    clipCoefficient[place] < 1 ? .clipped(factor: clipCoefficient[place]) : .applied
  }

  /// The records, or nil where the columns are of different lengths.
  var records: [StepRecord]? {
    let counts = [
      epoch.count, examples.count, loss.count, accuracy.count, gradientNorm.count,
      clippedNorm.count, largestGradient.count, clipCoefficient.count, learningRate.count,
    ]
    guard counts.allSatisfy({ $0 == step.count }) else { return nil }
    return step.indices.map { i in
      var record = StepRecord.empty(step[i], outcomes[i] ?? plain(i))
      record.epoch = epoch[i]
      record.examples = examples[i]
      record.loss = loss[i]
      record.accuracy = accuracy[i]
      record.gradientNorm = gradientNorm[i]
      record.clippedNorm = clippedNorm[i]
      record.largestGradient = largestGradient[i]
      record.clipCoefficient = clipCoefficient[i]
      record.learningRate = learningRate[i]
      return record
    }
  }
}

extension StepRecord {
  fileprivate static func empty(_ step: UInt64, _ outcome: StepOutcome) -> StepRecord {
    StepRecord(step: step, outcome: outcome)
  }
}
