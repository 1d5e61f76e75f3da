import KeelBackend
public import KeelData
import KeelNN
import KeelStability

/// Looks at the steps that were read, and does what the policy says about those that went wrong:
/// counts, goes back, or ends the training.
final class StepWatchman {
  enum Verdict {
    case goOn
    /// The training is at an earlier step now.
    case wentBack
  }

  private let trainer: Trainer
  private let policy: FaultPolicy
  private let rewind: RewindPlan
  private var skipsInARow = 0
  private var detector: SpikeDetector?
  private var snapshot: TrainingSnapshot?

  init(_ trainer: Trainer) throws(TrainingError) {
    self.trainer = trainer
    let stability = trainer.updater.stability
    policy = stability.onFault
    rewind = stability.rewind
    guard policy == .rewind else { return }
    detector = rewind.spikeThreshold.map { SpikeDetector(threshold: $0) }
    snapshot = try TrainingSnapshot(trainer)
  }

  /// The training is about to begin or to go on.
  func begin() throws(TrainingError) { try snapshot?.take(trainer) }

  /// Whether steps should be read, so that what is kept is not too old.
  var isDue: Bool {
    guard let snapshot else { return false }
    return trainer.updater.step >= snapshot.step + UInt64(rewind.interval)
  }

  /// Brings entries into the history.
  func review(
    _ entries: [StepLog.Entry], _ plan: FitPlan
  ) throws(TrainingError) -> Verdict {
    for entry in entries {
      if let reason = fault(of: entry) {
        if policy == .rewind {
          try goBack(from: entry, reason, plan)
          return .wentBack
        }
        skipsInARow += 1
        if policy == .raise || skipsInARow > trainer.updater.stability.maximumSkips {
          try stop(at: entry, reason)
        }
      } else {
        skipsInARow = 0
      }
      add(entry)
    }
    if let snapshot, !entries.isEmpty { try snapshot.take(trainer) }
    return .goOn
  }

  /// What went wrong in a step, if something did.
  private func fault(of entry: StepLog.Entry) -> SkipReason? {
    if case .skipped(let reason) = entry.record.outcome { return reason }
    return detector?.score(entry.record.gradientNorm).map { .spike(score: $0) }
  }

  private func add(_ entry: StepLog.Entry) {
    trainer.history.steps.append(entry.record)
    trainer.history.gradients.add(
      step: entry.record.step, norms: entry.tensorNorms,
      of: trainer.model.parameters.map(\.name))
  }

  private func goBack(
    from entry: StepLog.Entry, _ reason: SkipReason, _ plan: FitPlan
  ) throws(TrainingError) {
    guard let snapshot else { preconditionFailure("nothing to go back to") }
    guard trainer.history.rewinds.count < rewind.maximum else {
      try stop(at: entry, reason, after: trainer.history.rewinds.count)
      return
    }
    let place = BatchPosition(epoch: entry.record.epoch - 1, step: entry.batch)
    var record = entry.record
    record.outcome = .rewound(reason)
    let shrinks: Float? =
      if case .shrinkLearningRate(let factor) = rewind.response { factor } else { nil }
    try snapshot.restore(trainer)
    trainer.history = trainer.history.until(step: snapshot.step)
    trainer.history.rewinds.append(
      RewindRecord(step: record, to: snapshot.step, place: place, learningRateFactor: shrinks))
    if let shrinks {
      trainer.updater.learningRate *= shrinks
    } else {
      let end = min(place.step + plan.gradientAccumulation, plan.batchesPerEpoch)
      for batch in place.step..<end {
        trainer.excluded.insert(BatchPosition(epoch: place.epoch, step: batch))
      }
    }
  }

  /// Ends the training at a step, with everything as it was before.
  private func stop(
    at entry: StepLog.Entry, _ reason: SkipReason, after rewinds: Int = 0
  ) throws(TrainingError) {
    let record = entry.record
    trainer.position = BatchPosition(epoch: record.epoch - 1, step: entry.batch)
    try training { () throws(TensorError) in
      try trainer.updater.restore(step: record.step - 1, updates: trainer.updater.updates())
    }
    var what = "\(reason)"
    if skipsInARow > 1 { what += ", the last of \(skipsInARow) such steps in a row" }
    if rewinds > 0 { what += ", after \(rewinds) times that training went back" }
    throw .nonFinite(.init(step: record.step, epoch: record.epoch, what: what))
  }
}

/// One time that a training went back.
public struct RewindRecord: Hashable, Sendable, Codable {
  /// The number of the step that went wrong.
  public var step: UInt64
  /// The step after which the training went on.
  public var to: UInt64
  /// The batch that the step began with.
  public var place: BatchPosition
  /// What went wrong.
  public var reason: String
  /// The gradient norm of the step.
  public var gradientNorm: Float
  /// The loss of the step.
  public var loss: Float
  /// What the learning rate was multiplied by; nil where the batch was left out instead.
  public var learningRateFactor: Float?

  init(step record: StepRecord, to: UInt64, place: BatchPosition, learningRateFactor: Float?) {
    step = record.step
    self.to = to
    self.place = place
    reason = "\(record.outcome)"
    gradientNorm = record.gradientNorm
    loss = record.loss
    self.learningRateFactor = learningRateFactor
  }
}
