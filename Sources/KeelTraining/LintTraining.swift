public import KeelData
public import KeelStability

/// What `fit` does about what ``Lint`` says before the first step.
public enum LintPolicy: String, Hashable, Sendable, Codable, CaseIterable {
  /// Throws for errors, tells the callbacks of warnings. The default.
  case report
  /// Throws for errors and for warnings.
  case strict
  /// Throws for errors and leaves warnings out.
  case errors
  /// Looks at nothing: for trainings that are wrong on purpose.
  case off
}

extension Trainer {
  /// What ``Lint`` says about this training on some data; the data that are not given are not
  /// looked at.
  ///
  /// - Parameter runsPass: whether one forward and backward pass on a few examples may run, which
  ///   finds parameters that no gradient reaches.
  public func lint(
    train: Dataset? = nil, test: Dataset? = nil, augmentation: Augmentation? = nil,
    batchSize: Int? = nil, runsPass: Bool = true
  ) -> [Diagnostic] {
    let found = Lint.check(
      model: model, loss: loss, optimizer: updater.optimizer, learningRate: updater.learningRate,
      schedule: updater.schedule, stability: updater.stability, train: train, test: test,
      augmentation: augmentation, batchSize: batchSize, isFresh: updater.step == 0,
      runsPass: runsPass)
    guard let pair, pair.form == .linear, pair.weight > 0 else { return found }
    return found + [
      Diagnostic(
        .warning, rule: "difference-as-gradient", place: "pair",
        message: "a difference of two outputs is neither a loss nor a gradient: nothing bounds it "
          + "from below",
        fixIt: Lint.pairLossHint)
    ]
  }

  /// What can be known without a pass: throws for errors, tells the callbacks of the rest.
  func lintBeforeTraining(
    _ train: Dataset, _ held: Dataset?, _ validation: Validation, _ plan: FitPlan,
    _ callbacks: [any Callback]
  ) throws(TrainingError) {
    warnings = []
    guard lintPolicy != .off else { return }
    var test = held
    // The parts of a split share no example; that some are equal is not for an error.
    if case .split = validation { test = nil }
    let found = lint(
      train: train, test: test, augmentation: plan.augmentation, batchSize: plan.batchSize,
      runsPass: false)
    let fatal = lintPolicy == .strict ? found : found.errors
    guard fatal.isEmpty else { throw .lint(fatal) }
    warnings = lintPolicy == .errors ? [] : found
    guard !warnings.isEmpty else { return }
    for callback in callbacks { callback.warned(warnings) }
  }
}
