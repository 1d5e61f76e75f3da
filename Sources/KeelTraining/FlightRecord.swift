import KeelData
public import KeelStability

/// The last steps of a training and its faults: the contents of `flight.json`, which is there to be
/// read after a training that ended badly.
public struct FlightRecord: Sendable, Codable {
  /// How a training was when the file was written.
  public enum State: Hashable, Sendable, Codable {
    /// It went on. A training whose process was killed leaves this state.
    case running
    /// All epochs were done.
    case complete
    /// It was asked to stop.
    case stopped
    /// An error ended it: its sentence.
    case failed(String)
  }

  /// One step.
  public struct Step: Sendable, Codable {
    /// The number of the step, from 1; also the counter of the noise that was added to gradients.
    public var step: UInt64
    /// The epoch, from 1.
    public var epoch: Int
    /// The batches it was made of, from 0 in each epoch: with ``FlightRecord/Seeds/order`` they say
    /// which examples it met.
    public var batches: [Int]
    /// The counters of the dropout masks of these batches.
    public var passes: [UInt64]
    /// How many examples it was made of.
    public var examples: Int
    /// The mean loss.
    public var loss: Float
    /// The part of examples that was right, if counted.
    public var accuracy: Float?
    /// The norm of all gradients, before clipping.
    public var gradientNorm: Float
    /// The norm of all gradients, after clipping.
    public var clippedNorm: Float
    /// The largest magnitude of all gradients, before clipping.
    public var largestGradient: Float
    /// What clipping multiplied the gradients by.
    public var clipCoefficient: Float
    /// The learning rate.
    public var learningRate: Float
    /// What became of it.
    public var outcome: StepOutcome
    /// The norm of the gradient of each of ``FlightRecord/parameters``.
    public var norms: [Float]
  }

  /// Where the random streams of a training begin.
  public struct Seeds: Hashable, Sendable, Codable {
    /// Of dropout masks and noise.
    public var model: UInt64
    /// Of the order of examples and their changes.
    public var order: UInt64
  }

  /// The version of this form.
  public var version = 1
  /// How the training was.
  public var state: State
  /// Seconds since it began or went on.
  public var seconds: Double
  /// What the run is.
  public var run: RunDescription
  /// Where its random streams begin.
  public var seeds: Seeds
  /// The parameters.
  public var parameters: [String]
  /// The last steps in the order in which they were taken; those that were gone back from are
  /// followed by the ones that replaced them.
  public var steps: [Step]
  /// The steps that went wrong, each with its first cause if it was looked for: the first ones and
  /// the last ones where there are many.
  public var faults: [FaultRecord]
}

extension FlightRecord.Step {
  init(_ entry: StepLog.Entry, _ outcome: StepOutcome, _ plan: FitPlan) {
    let record = entry.record
    step = record.step
    epoch = record.epoch
    batches = entry.batches
    passes = entry.batches.map {
      plan.pass(of: BatchPosition(epoch: record.epoch - 1, step: $0))
    }
    examples = record.examples
    loss = record.loss
    accuracy = record.accuracy
    gradientNorm = record.gradientNorm
    clippedNorm = record.clippedNorm
    largestGradient = record.largestGradient
    clipCoefficient = record.clipCoefficient
    learningRate = record.learningRate
    self.outcome = outcome
    norms = entry.tensorNorms
  }

  /// The step as a history has it.
  var record: StepRecord {
    StepRecord(
      step: step, epoch: epoch, examples: examples, loss: loss, accuracy: accuracy,
      StepReport(
        outcome: outcome, norm: gradientNorm, clippedNorm: clippedNorm, largest: largestGradient,
        factor: clipCoefficient, learningRate: learningRate))
  }
}
