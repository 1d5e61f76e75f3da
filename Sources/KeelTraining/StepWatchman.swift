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
  private let rewind: RewindPlan
  private let recorder: FlightRecorder?
  private var skipsInARow = 0
  private var detector: SpikeDetector?
  private var snapshot: TrainingSnapshot?

  init(
    _ trainer: Trainer, _ plan: FitPlan, _ loader: BatchLoader, _ gradient: BatchGradient,
    _ recorder: FlightRecorder?
  ) throws(TrainingError) {
    self.trainer = trainer
    self.plan = plan
    self.loader = loader
    self.gradient = gradient
    self.recorder = recorder
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
    guard let snapshot else { preconditionFailure("nothing to go back to") }
    let rewinds = trainer.history.faults.count { $0.response != .skipped }
    guard rewinds < rewind.maximum else { try stop(at: entry, reason, after: rewinds) }
    switch rewind.response {
    case .skipBatch: try note(entry, reason, .rewound(to: snapshot.step))
    case .shrinkLearningRate(let factor):
      try note(entry, reason, .slowed(to: snapshot.step, factor: factor))
    }
    try snapshot.restore(trainer)
    trainer.history = trainer.history.until(step: snapshot.step)
    switch rewind.response {
    case .shrinkLearningRate(let factor): trainer.updater.learningRate *= factor
    case .skipBatch:
      let place = place(of: entry)
      let end = min(place.step + plan.gradientAccumulation, plan.batchesPerEpoch)
      for batch in place.step..<end {
        trainer.excluded.insert(BatchPosition(epoch: place.epoch, step: batch))
      }
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
