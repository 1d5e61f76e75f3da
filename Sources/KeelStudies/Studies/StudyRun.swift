import KeelBackend
package import KeelData
package import KeelNN
package import KeelStability
package import KeelTraining

/// How one variant of a study is trained.
package struct StudyRun {
  package var name: String
  package var group: String
  package var options: String
  package var network: any Layer
  package var optimizer: Optimizer
  package var loss = Loss.softmaxCrossEntropy()
  package var schedule = Schedule.constant
  package var plateau: PlateauReducer?
  package var stability = Stability()
  package var augmentation: Augmentation?
  package var epochs: Int
  package var batchSize = 32
  /// Data of its own in place of the setting's.
  package var train: Dataset?
  /// Whether the page shows its gradients weight by weight.
  package var showsGradients = false
  /// Is called before the first step, as to give weights other first values.
  package var prepare: StudyPreparation?
  /// Is called after each step; steps count from 1.
  package var afterStep: StudyStepAction?

  package init(
    _ name: String, group: String = "", options: String, network: any Layer,
    optimizer: Optimizer, epochs: Int
  ) {
    self.name = name
    self.group = group
    self.options = options
    self.network = network
    self.optimizer = optimizer
    self.epochs = epochs
  }
}

extension StudySetting {
  /// Trains variants one after the other.
  package func trainAll(_ runs: [StudyRun]) throws -> [StudyVariant] {
    var variants: [StudyVariant] = []
    for (place, run) in runs.enumerated() {
      let text = run.group.isEmpty ? run.name : "\(run.group): \(run.name)"
      progress(Progress(done: place, total: runs.count, text: text))
      variants.append(try train(run))
    }
    progress(Progress(done: runs.count, total: runs.count, text: "done"))
    return variants
  }

  /// Trains a variant until it is done or has diverged.
  package func train(_ run: StudyRun) throws(TrainingError) -> StudyVariant {
    let data = run.train ?? train
    let trainer = try trainer(of: run, for: data)
    let watch = StudyWatch(trainer, afterStep: run.afterStep)
    var failedStep: Int?
    do {
      try trainer.fit(
        data, epochs: run.epochs, batchSize: run.batchSize, validation: .data(test),
        augmentation: run.augmentation, seed: seed, callbacks: [watch])
    } catch {
      guard case .nonFinite(let place) = error else { throw error }
      failedStep = Int(place.step)
    }
    return try record(run, trainer, failedStep: failedStep)
  }

  private func trainer(
    of run: StudyRun, for data: Dataset
  ) throws(TrainingError) -> Trainer {
    do throws(TensorError) {
      let model = try Model(run.network, input: data.exampleShape, device: device, seed: seed)
      // The divergence of a loss is found by the watch, steps before the skips are too many.
      let trainer = try Self.compiled(model, run)
      try run.prepare?(trainer)
      // Values are read at the watch's steps alone: then nothing depends on the clock.
      trainer.progressInterval = .seconds(1 << 20)
      // Some variants are wrong on purpose.
      trainer.lintPolicy = .off
      return trainer
    } catch {
      throw .tensor(error)
    }
  }

  private static func compiled(_ model: Model, _ run: StudyRun) throws(TensorError) -> Trainer {
    do throws(TrainingError) {
      return try model.compile(
        optimizer: run.optimizer, loss: run.loss, schedule: run.schedule, plateau: run.plateau,
        stability: run.stability)
    } catch {
      if case .tensor(let inner) = error { throw inner }
      throw .shape(ShapeError(run.name, requires: "options that fit", gotText: "\(error)"))
    }
  }

  private func record(
    _ run: StudyRun, _ trainer: Trainer, failedStep: Int?
  ) throws(TrainingError) -> StudyVariant {
    let history = trainer.history
    let isComplete = history.epochs.count == run.epochs
    let accuracy =
      isComplete
      ? history.epochs.last?.validationAccuracy : try trainer.evaluate(test).accuracy
    return StudyVariant(
      run, history, testAccuracy: accuracy ?? 0, failedStep: failedStep,
      classes: test.classCount)
  }
}

extension StudyVariant {
  /// What a history says of a variant.
  ///
  /// - Parameter failedStep: the step that ended the training with an error, if one did.
  package init(
    _ run: StudyRun, _ history: History, testAccuracy: Double, failedStep: Int? = nil,
    classes: Int
  ) {
    name = run.name
    group = run.group
    options = run.options
    showsGradients = run.showsGradients
    self.testAccuracy = testAccuracy.sixDigits
    let steps = history.steps
    let faults = history.faults
    firstGradientNorm = Double(steps.first?.gradientNorm ?? .infinity).sixDigits
    let norms = steps.map { Double($0.gradientNorm) }
    let isFinite = norms.allSatisfy(\.isFinite) && faults.isEmpty && !norms.isEmpty
    largestGradientNorm = isFinite ? (norms.max() ?? 0).sixDigits : .infinity
    let clipped = steps.count { if case .clipped = $0.outcome { true } else { false } }
    engagementRate = (Double(clipped) / Double(max(steps.count, 1))).sixDigits
    if !run.stability.clip.stages.isEmpty {
      let left = steps.prefix { $0.epoch == 1 }.map { Double($0.clippedNorm) }.sorted()
      firstClippedNorm = left.isEmpty ? nil : left[left.count / 2].fourDigits
    }
    skippedSteps = steps.count { !$0.outcome.changesParameters }
    let diverged = failedStep ?? StudyVariant.divergence(of: steps)
    if let diverged {
      outcome = .diverged(at: diverged)
      finalLoss = Double(steps.last?.loss ?? .nan).sixDigits
    } else {
      outcome = testAccuracy < 2 / Double(classes) ? .stalled : .survived
      finalLoss = (history.epochs.last?.loss ?? .nan).sixDigits
    }
    curve = history.epochs.map { epoch in
      Point(
        epoch: epoch.epoch, loss: epoch.loss.fourDigits, accuracy: (epoch.accuracy ?? 0).fourDigits,
        testAccuracy: (epoch.validationAccuracy ?? 0).fourDigits,
        engagement: epoch.clippedFraction.fourDigits)
    }
    trace = Trace(history)
  }

  /// The first step whose loss was not finite, or far above that of the first step.
  static func divergence(of steps: [StepRecord]) -> Int? {
    guard let first = steps.first else { return nil }
    let limit = divergenceFactor * max(1, Double(first.loss))
    return steps.first { !$0.loss.isFinite || Double($0.loss) > limit }.map { Int($0.step) }
  }
}

/// Ends a training that has diverged, and lets a study act after each step.
private final class StudyWatch: Callback {
  /// Losses are looked at after so many steps.
  private static let interval: UInt64 = 10
  private let trainer: Trainer
  private let afterStep: StudyStepAction?
  private(set) var wantsStop = false

  init(_ trainer: Trainer, afterStep: StudyStepAction?) {
    self.trainer = trainer
    self.afterStep = afterStep
  }

  func stepEnded(_ step: StepEvent) throws(TrainingError) {
    do throws(TensorError) { try afterStep?(trainer, Int(step.step)) } catch {
      throw .tensor(error)
    }
    guard step.step % StudyWatch.interval == 0 else { return }
    _ = try step.values()
    wantsStop = StudyVariant.divergence(of: trainer.history.steps) != nil
  }
}
