import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability

/// One call of `fit`: steps, reads, epochs, checkpoints, in this order and nowhere else.
final class FitLoop {
  private let trainer: Trainer
  private let plan: FitPlan
  private let loader: BatchLoader
  private let validation: Dataset?
  private let output: RunFolder?
  private let stop: StopRequest?
  private let callbacks: [any Callback]
  private let log: StepLog
  private let metric: Metric?

  private var epochStart = ContinuousClock.now
  private var lastRead = ContinuousClock.now
  private var watch = SpeedWatch()

  init(
    _ trainer: Trainer, plan: FitPlan, loader: BatchLoader, validation: Dataset?,
    output: RunFolder?, stop: StopRequest?, callbacks: [any Callback]
  ) throws(TrainingError) {
    self.trainer = trainer
    self.plan = plan
    self.loader = loader
    self.validation = validation
    self.output = output
    self.stop = stop
    self.callbacks = callbacks
    metric = trainer.metrics.first
    log = try StepLog(trainer.model.device, counts: metric != nil)
  }

  func run() throws(TrainingError) -> FitResult {
    let isNew = try output?.begin(trainer, plan) ?? false
    do {
      return try train()
    } catch {
      output?.abandon(isNew: isNew)
      throw error
    }
  }

  private func train() throws(TrainingError) -> FitResult {
    trainer.unfinished = plan
    for callback in callbacks { callback.trainingBegan(plan) }
    let stream = loader.batches(
      from: trainer.position, to: BatchPosition(epoch: plan.lastEpoch))
    (epochStart, lastRead) = (.now, .now)
    var isStopped = false
    while trainer.position.epoch < plan.lastEpoch, !isStopped {
      try step(stream)
      try callStepEnded()
      isStopped = wantsStop
      if trainer.position.step >= plan.batchesPerEpoch {
        try endEpoch(isLast: trainer.position.epoch + 1 == plan.lastEpoch)
      } else if isStopped || lastRead.duration(to: .now) >= trainer.progressInterval {
        try readProgress()
      }
    }
    let isComplete = trainer.position.epoch >= plan.lastEpoch
    if isComplete { trainer.unfinished = nil } else { try save() }
    let position = trainer.position
    let result = FitResult(
      history: trainer.history, isComplete: isComplete,
      stoppedAt: isComplete ? nil : BatchPosition(epoch: position.epoch + 1, step: position.step),
      folder: output?.path)
    for callback in callbacks { callback.trainingEnded(result) }
    return result
  }

  private var wantsStop: Bool {
    stop?.isRequested == true || callbacks.contains { $0.wantsStop }
  }

  /// One update: backward through each batch of the group, then the optimizer. Nothing is read
  /// unless the log is full.
  private func step(_ stream: BatchStream) throws(TrainingError) {
    let start = trainer.position.step
    let end = min(start + plan.gradientAccumulation, plan.batchesPerEpoch)
    let examples = min(end * plan.batchSize, plan.examples) - start * plan.batchSize
    if log.isFull(before: end - start) { try readLog() }
    let step = trainer.updater.step
    for number in start..<end {
      guard let batch = stream.next() else { preconditionFailure("a batch is missing") }
      // Fresh dropout masks for every batch, the same ones in a resumed run.
      let pass = step &* UInt64(plan.gradientAccumulation) &+ UInt64(number - start)
      let weight = Float(batch.count) / Float(examples)
      let (loss, right) = try training { () throws(TensorError) in
        try backward(batch, pass: pass, weight: weight, accumulates: number > start)
      }
      let isLast = number + 1 == end
      if isLast { try training { () throws(TensorError) in try trainer.updater.update() } }
      try log.record(
        StepLog.Row(
          step: step + 1, epoch: trainer.position.epoch + 1, examples: batch.count,
          endsStep: isLast),
        loss: loss, right: right, norm: isLast ? trainer.updater.normSummary : nil)
    }
    trainer.position.step = end
    watch.add(examples)
  }

  private func backward(
    _ batch: Batch, pass: UInt64, weight: Float, accumulates: Bool
  ) throws(TensorError) -> (loss: Tensor, right: Tensor?) {
    let model = trainer.model
    let (images, labels) = try upload(batch, to: model.device)
    var right: Tensor?
    let loss = try model.valueAndGradient(
      step: pass, weight: weight, accumulates: accumulates
    ) { (pass) throws(TensorError) in
      let output = try model(images, pass)
      right = try metric?.rightCount(output, labels)
      return try trainer.loss(output, labels, mixedBy: batch.mix)
    }
    return (loss, right)
  }

  private func callStepEnded() throws(TrainingError) {
    guard !callbacks.isEmpty else { return }
    let event = StepEvent(step: trainer.updater.step, epoch: trainer.position.epoch + 1) {
      [self] () throws(TrainingError) in
      try readLog()
      guard let last = trainer.history.steps.last else { preconditionFailure("no step was read") }
      return last
    }
    for callback in callbacks { try callback.stepEnded(event) }
  }

  /// Brings the log into the history, and stops at the first step that is not finite.
  private func readLog() throws(TrainingError) {
    for record in try log.read() {
      var fault: String?
      if !record.loss.isFinite {
        fault = "the loss is \(record.loss)"
      } else if !record.gradientNorm.isFinite {
        fault = "the gradient norm is \(record.gradientNorm)"
      }
      if let fault {
        throw .nonFinite(.init(step: record.step, epoch: record.epoch, what: fault))
      }
      trainer.history.steps.append(record)
    }
    lastRead = .now
  }

  private func readProgress() throws(TrainingError) {
    try readLog()
    let epoch = trainer.position.epoch + 1
    let sums = EpochSums(trainer.history, epoch: epoch)
    let speed = watch.examplesPerSecond
    let ahead =
      (plan.lastEpoch - epoch) * plan.examples
      + max(0, plan.examples - trainer.position.step * plan.batchSize)
    let progress = TrainingProgress(
      epoch: epoch, lastEpoch: plan.lastEpoch, batch: trainer.position.step,
      batchesPerEpoch: plan.batchesPerEpoch, loss: sums.loss, accuracy: sums.accuracy,
      gradientNorm: Double(trainer.history.steps.last?.gradientNorm ?? 0),
      examplesPerSecond: speed, secondsLeft: Double(ahead) / speed)
    for callback in callbacks { callback.progressed(progress) }
  }

  private func endEpoch(isLast: Bool) throws(TrainingError) {
    try readProgress()
    watch.pause()
    let held = try validation.map { (data) throws(TrainingError) in try trainer.evaluate(data) }
    let number = trainer.position.epoch + 1
    let sums = EpochSums(trainer.history, epoch: number)
    let record = EpochRecord(
      epoch: number, step: trainer.updater.step, loss: sums.loss, accuracy: sums.accuracy,
      gradientNorm: sums.gradientNorm, clippedFraction: sums.clippedFraction,
      validationLoss: held?.loss, validationAccuracy: held?.accuracy,
      seconds: epochStart.duration(to: .now).seconds)
    trainer.history.epochs.append(record)
    trainer.position = BatchPosition(epoch: number)
    try save()
    for callback in callbacks { callback.epochEnded(record) }
    (epochStart, lastRead) = (.now, .now)
    watch.proceed()
  }

  private func save() throws(TrainingError) {
    try output?.save(trainer, plan)
  }
}

/// The means over the steps of an epoch.
private struct EpochSums {
  var loss = 0.0
  var accuracy: Double?
  var gradientNorm = 0.0
  var clippedFraction = 0.0

  init(_ history: History, epoch: Int) {
    let steps = history.steps.reversed().prefix { $0.epoch == epoch }.reversed()
    var (examples, right, counted) = (0, 0.0, 0)
    for step in steps {
      examples += step.examples
      loss += Double(step.loss) * Double(step.examples)
      gradientNorm += Double(step.gradientNorm)
      if step.clipCoefficient != 1 { clippedFraction += 1 }
      if let part = step.accuracy {
        right += (Double(part) * Double(step.examples)).rounded()
        counted += step.examples
      }
    }
    guard examples > 0 else { return }
    loss /= Double(examples)
    gradientNorm /= Double(steps.count)
    clippedFraction /= Double(steps.count)
    if counted > 0 { accuracy = right / Double(counted) }
  }
}

/// Examples per second of training, without the time of validation and saving.
private struct SpeedWatch {
  private var examples = 0
  private var seconds = 0.0
  private var start = ContinuousClock.now

  mutating func add(_ count: Int) { examples += count }
  mutating func pause() { seconds += start.duration(to: .now).seconds }
  mutating func proceed() { start = .now }

  var examplesPerSecond: Double {
    Double(examples) / max(seconds + start.duration(to: .now).seconds, 1e-9)
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
