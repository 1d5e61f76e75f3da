import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import Logging

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
  private let gradient: BatchGradient
  private let captured: CapturedStep
  private let inputs: BatchInputs
  private let watchman: StepWatchman
  private let recorder: FlightRecorder?
  private var stream: BatchStream

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
    log = try StepLog(trainer.model, counts: !trainer.metrics.isEmpty)
    let pairs = try PairSource(trainer.pair, loader.dataset, seed: plan.seed)
    gradient = try training { () throws(TensorError) in
      try BatchGradient(trainer, pairs: pairs)
    }
    let isOff = trainer.capturesSteps ? nil : "it is switched off"
    captured = CapturedStep(trainer.model, refusal: isOff ?? gradient.refusal) { reason in
      Logger(label: "keel.training").notice("steps are not captured: \(reason)")
    }
    trainer.capture = captured.summary
    inputs = BatchInputs(trainer.model.device)
    recorder = output.flatMap { $0.flightSteps > 0 ? FlightRecorder(trainer, plan, $0) : nil }
    watchman = try StepWatchman(trainer, plan, loader, gradient, recorder)
    stream = FitLoop.stream(trainer, plan, loader)
  }

  private static func stream(
    _ trainer: Trainer, _ plan: FitPlan, _ loader: BatchLoader
  ) -> BatchStream {
    loader.batches(from: trainer.position, to: BatchPosition(epoch: plan.lastEpoch))
  }

  func run() throws(TrainingError) -> FitResult {
    let isNew = try output?.begin(trainer, plan) ?? false
    recorder?.write()
    do {
      let result = try train()
      recorder?.write(result.isComplete ? .complete : .stopped)
      return result
    } catch {
      recorder?.write(.failed("\(error)"))
      output?.abandon(isNew: isNew, keepsFlight: error.isNonFinite)
      throw error
    }
  }

  private func train() throws(TrainingError) -> FitResult {
    trainer.unfinished = plan
    for callback in callbacks { callback.trainingBegan(plan) }
    try watchman.begin()
    (epochStart, lastRead) = (.now, .now)
    var isStopped = false
    while trainer.position.epoch < plan.lastEpoch, !isStopped {
      try step()
      try callStepEnded()
      isStopped = wantsStop
      if trainer.position.step >= plan.batchesPerEpoch {
        // Reading may find that the training has to go back: the epoch then is not over.
        try readProgress()
        guard trainer.position.step >= plan.batchesPerEpoch else { continue }
        try endEpoch()
      } else if isStopped || watchman.isDue
        || lastRead.duration(to: .now) >= trainer.progressInterval
      {
        try readProgress()
      }
    }
    let isComplete = trainer.position.epoch >= plan.lastEpoch
    if isComplete { trainer.unfinished = nil } else { try save() }
    let position = trainer.position
    let result = FitResult(
      history: trainer.history, isComplete: isComplete,
      stoppedAt: isComplete ? nil : BatchPosition(epoch: position.epoch + 1, step: position.step),
      folder: output?.path, capture: captured.summary)
    for callback in callbacks { callback.trainingEnded(result) }
    return result
  }

  private var wantsStop: Bool {
    stop?.isRequested == true || callbacks.contains { $0.wantsStop }
  }

  /// One update: backward through each batch of the group, then the step. Nothing is read unless
  /// the log is full.
  private func step() throws(TrainingError) {
    let epoch = trainer.position.epoch
    let group =
      trainer.position
      .step..<min(
        trainer.position.step + plan.gradientAccumulation, plan.batchesPerEpoch)
    if log.isFull(before: group.count) {
      try readLog()
      // The training may have gone back.
      guard trainer.position == BatchPosition(epoch: epoch, step: group.lowerBound) else { return }
    }
    let kept = group.filter {
      !trainer.excluded.contains(BatchPosition(epoch: epoch, step: $0))
    }
    let examples = kept.reduce(0) { $0 + plan.count(ofBatch: $1) }
    let isCounted =
      group.upperBound >= plan.batchesPerEpoch && callbacks.contains(where: \.wantsHistograms)
    for number in group {
      guard let batch = stream.next() else { preconditionFailure("a batch is missing") }
      guard kept.contains(number) else { continue }
      let pass = plan.pass(of: BatchPosition(epoch: epoch, step: number))
      let row = StepLog.Row(
        step: trainer.updater.step + 1, epoch: epoch + 1, batch: number, examples: batch.count,
        endsStep: number == kept.last)
      let weight = Float(batch.count) / Float(examples)
      let (loss, right) = try training { () throws(TensorError) in
        let (value, isLasting) = try gradient.compute(
          batch, pass: pass, weight: weight, accumulates: number > kept[0], captured: captured,
          inputs: inputs)
        if row.endsStep {
          try trainer.updater.update(
            loss: value.loss, right: value.right, wantsHistogram: isCounted,
            captured: isLasting ? captured : nil)
        }
        return value
      }
      try log.record(row, loss: loss, right: right, of: trainer.updater)
    }
    trainer.position.step = group.upperBound
    trainer.capture = captured.summary
    watch.add(examples)
    if isCounted, !kept.isEmpty { try readHistograms() }
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

  private func readHistograms() throws(TrainingError) {
    let histograms = try training { () throws(TensorError) in try trainer.updater.histograms() }
    for callback in callbacks where callback.wantsHistograms {
      try callback.histogramsRead(histograms, step: trainer.updater.step)
    }
  }

  /// Brings the log into the history, and does what the policy says about steps that went wrong.
  private func readLog() throws(TrainingError) {
    let entries = try log.read()
    let known = trainer.history.steps.count
    if try watchman.review(entries) == .wentBack {
      stream = FitLoop.stream(trainer, plan, loader)
    }
    lastRead = .now
    let steps = trainer.history.steps.dropFirst(known)
    guard !steps.isEmpty else { return }
    for callback in callbacks { try callback.stepsRead(steps) }
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

  private func endEpoch() throws(TrainingError) {
    watch.pause()
    let held = try validation.map { (data) throws(TrainingError) in try trainer.evaluate(data) }
    let number = trainer.position.epoch + 1
    let sums = EpochSums(trainer.history, epoch: number)
    let record = EpochRecord(
      epoch: number, step: trainer.updater.step, loss: sums.loss, accuracy: sums.accuracy,
      gradientNorm: sums.gradientNorm, clippedFraction: sums.clippedFraction,
      skippedSteps: sums.skipped, validationLoss: held?.loss, validationAccuracy: held?.accuracy,
      seconds: epochStart.duration(to: .now).seconds)
    trainer.history.epochs.append(record)
    lowerLearningRate(after: record)
    trainer.position = BatchPosition(epoch: number)
    try watchman.epochEnded()
    try save()
    recorder?.write()
    for callback in callbacks { try callback.epochEnded(record) }
    (epochStart, lastRead) = (.now, .now)
    watch.proceed()
  }

  private func lowerLearningRate(after epoch: EpochRecord) {
    guard let metric = trainer.plateau?.metric else { return }
    let value =
      switch metric {
      case .loss: epoch.loss
      case .accuracy: epoch.accuracy
      case .validationLoss: epoch.validationLoss
      case .validationAccuracy: epoch.validationAccuracy
      }
    let before = trainer.plateau?.rateFactor ?? 1
    guard trainer.plateau?.observe(value ?? .nan) == true, let plateau = trainer.plateau else {
      return
    }
    trainer.updater.learningRate *= Float(plateau.rateFactor / before)
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
  var skipped = 0

  init(_ history: History, epoch: Int) {
    let steps = history.steps.reversed().prefix { $0.epoch == epoch }.reversed()
    var (examples, taken, right, counted) = (0, 0, 0.0, 0)
    for step in steps {
      // What is not finite must not hide what is.
      guard step.outcome.changesParameters else {
        skipped += 1
        continue
      }
      taken += 1
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
    gradientNorm /= Double(taken)
    clippedFraction /= Double(taken)
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
