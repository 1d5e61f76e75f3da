public import KeelData
public import KeelStability

/// A step that went wrong, why, and what was done about it.
public struct FaultRecord: Hashable, Sendable, Codable {
  /// What was done.
  public enum Response: Hashable, Sendable, Codable {
    /// The step was left out.
    case skipped
    /// The training went back to a step, and left the batch out.
    case rewound(to: UInt64)
    /// The training went back to a step, and met the batch again with the learning rate times the
    /// factor.
    case slowed(to: UInt64, factor: Float)
    /// The training ended.
    case stopped
  }

  /// The number of the step.
  public var step: UInt64
  /// The batch that the step began with.
  public var place: BatchPosition
  /// What went wrong.
  public var reason: SkipReason
  /// The loss of the step.
  public var loss: Float
  /// The gradient norm of the step, before clipping.
  public var gradientNorm: Float
  /// What was done.
  public var response: Response
  /// Which operation made the first value that is not finite, for the first faults of a training.
  public var cause: FirstCause?

  init(
    _ record: StepRecord, _ place: BatchPosition, _ reason: SkipReason, _ response: Response,
    cause: FirstCause?
  ) {
    step = record.step
    self.place = place
    self.reason = reason
    loss = record.loss
    gradientNorm = record.gradientNorm
    self.response = response
    self.cause = cause
  }
}

extension FaultRecord: CustomStringConvertible {
  /// One line, and those of the cause.
  public var description: String {
    var text = "step \(step) (epoch \(place.epoch + 1), batch \(place.step + 1)): \(reason); "
    switch response {
    case .skipped: text += "the step was left out"
    case .rewound(let step): text += "went back to step \(step) and left the batch out"
    case .slowed(let step, let factor):
      text += "went back to step \(step) with the learning rate times \(factor)"
    case .stopped: text += "the training ended"
    }
    return cause.map { "\(text)\n\($0)" } ?? text
  }
}
