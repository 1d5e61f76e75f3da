import KeelBackend
import KeelData
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

  /// How many faults of a training are traced to their cause: each costs many steps.
  private static let tracedFaults = 3
  private let trainer: Trainer
  private let plan: FitPlan
  private let loader: BatchLoader
  private let gradient: BatchGradient
  private let policy: FaultPolicy
  private let rewinder: Rewinder?
  private let recorder: FlightRecorder?
  private var skipsInARow = 0
  /// Where the training was when the rewinder's copy was made.
  private var keptPosition = BatchPosition(epoch: 0)

  init(
    _ trainer: Trainer, _ plan: FitPlan, _ loader: BatchLoader, _ gradient: BatchGradient,
    _ recorder: FlightRecorder?
  ) throws(TrainingError) {
    self.trainer = trainer
    self.plan = plan
    self.loader = loader
    self.gradient = gradient
    self.recorder = recorder
    policy = trainer.updater.stability.onFault
    rewinder =
      policy == .rewind
      ? try training { () throws(TensorError) in try Rewinder(trainer.updater) } : nil
  }

  /// The training is about to begin or to go on.
  func begin() throws(TrainingError) {
    skipsInARow = try training { () throws(TensorError) in
      try trainer.updater.skipCounts().inARow
    }
    rewinder?.restart(after: trainer.history.steps.lazy.map(\.gradientNorm))
    try keep()
  }

  /// An epoch is over, and all of its steps were good: going back never repeats what is done at
  /// its end.
  func epochEnded() throws(TrainingError) { try keep() }

  /// Whether steps should be read, so that what is kept is not too old.
  var isDue: Bool { rewinder?.isDue ?? false }

  private func keep() throws(TrainingError) {
    guard let rewinder else { return }
    try training { () throws(TensorError) in try rewinder.keep() }
    keptPosition = trainer.position
  }

  /// Brings entries into the history.
  func review(_ entries: [StepLog.Entry]) throws(TrainingError) -> Verdict {
    let faults = trainer.history.faults.count
    defer {
      if trainer.history.faults.count > faults {
        recorder?.write()
      } else {
        recorder?.writeIfDue()
      }
    }
    for entry in entries {
      guard let reason = fault(of: entry) else {
        skipsInARow = 0
        recorder?.add(entry, entry.record.outcome)
        add(entry)
        continue
      }
      recorder?.add(entry, policy == .rewind ? .rewound(reason) : entry.record.outcome)
      if policy == .rewind {
        try goBack(from: entry, reason)
        return .wentBack
      }
      skipsInARow += 1
      if policy == .raise || skipsInARow > trainer.updater.stability.maximumSkips {
        try stop(at: entry, reason)
      }
      try note(entry, reason, .skipped)
      add(entry)
    }
    if !entries.isEmpty { try keep() }
    return .goOn
  }

  /// What went wrong in a step, if something did.
  private func fault(of entry: StepLog.Entry) -> SkipReason? {
    if let rewinder {
      return rewinder.fault(entry.record.outcome, norm: entry.record.gradientNorm)
    }
    if case .skipped(let reason) = entry.record.outcome { return reason }
    return nil
  }

  private func add(_ entry: StepLog.Entry) {
    trainer.history.steps.append(entry.record)
    trainer.history.gradients.add(
      step: entry.record.step, norms: entry.tensorNorms,
      of: trainer.model.parameters.map(\.name))
  }

  /// Adds a fault to the history; says where it came from, while the weights are still those of the
  /// step or not far from them.
  @discardableResult
  private func note(
    _ entry: StepLog.Entry, _ reason: SkipReason, _ response: FaultRecord.Response
  ) throws(TrainingError) -> FaultRecord {
    let place = place(of: entry)
    var cause: FirstCause?
    let traced = trainer.history.faults.count { $0.cause != nil }
    if reason.isNonFinite, traced < StepWatchman.tracedFaults,
      let batch = loader.batches(
        from: place, to: BatchPosition(epoch: place.epoch, step: place.step + 1)
      ).next()
    {
      cause = try training { () throws(TensorError) in
        try gradient.firstCause(batch, pass: plan.pass(of: place))
      }
    }
    let record = FaultRecord(entry.record, place, reason, response, cause: cause)
    trainer.history.faults.append(record)
    return record
  }

  private func place(of entry: StepLog.Entry) -> BatchPosition {
    BatchPosition(epoch: entry.record.epoch - 1, step: entry.batches[0])
  }

  private func goBack(
    from entry: StepLog.Entry, _ reason: SkipReason
  ) throws(TrainingError) {
    guard let rewinder else { preconditionFailure("nothing to go back to") }
    let rewinds = trainer.history.faults.count { $0.response != .skipped }
    guard rewinds < rewinder.plan.maximum else { try stop(at: entry, reason, after: rewinds) }
    switch rewinder.plan.response {
    case .skipBatch: try note(entry, reason, .rewound(to: rewinder.step))
    case .shrinkLearningRate(let factor):
      try note(entry, reason, .slowed(to: rewinder.step, factor: factor))
    }
    try training { () throws(TensorError) in try rewinder.goBack() }
    trainer.position = keptPosition
    trainer.history = trainer.history.until(step: rewinder.step)
    guard case .skipBatch = rewinder.plan.response else { return }
    let place = place(of: entry)
    let end = min(place.step + plan.gradientAccumulation, plan.batchesPerEpoch)
    for batch in place.step..<end {
      trainer.excluded.insert(BatchPosition(epoch: place.epoch, step: batch))
    }
  }

  /// Ends the training at a step, with everything as it was before.
  private func stop(
    at entry: StepLog.Entry, _ reason: SkipReason, after rewinds: Int = 0
  ) throws(TrainingError) -> Never {
    let fault = try note(entry, reason, .stopped)
    let record = entry.record
    trainer.position = place(of: entry)
    try training { () throws(TensorError) in
      try trainer.updater.restore(step: record.step - 1, updates: trainer.updater.updates())
    }
    var what = "\(reason)"
    if skipsInARow > 1 { what += ", the last of \(skipsInARow) such steps in a row" }
    if rewinds > 0 { what += ", after \(rewinds) times that training went back" }
    throw .nonFinite(
      .init(step: record.step, epoch: record.epoch, what: what, cause: fault.cause))
  }
}
