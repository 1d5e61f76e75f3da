import KeelBackend
public import KeelData
public import KeelNN

/// Looks at a training before its first step, and says what is wrong with it.
///
/// ```swift
/// for diagnostic in Lint.check(model: model, loss: .softmaxCrossEntropy(), train: train) {
///   print(diagnostic)
/// }
/// ```
///
/// Rules never throw and never change anything; what cannot be known, such as what a layer of one's
/// own computes, is not complained about. All rules stand in `docs/lint.md`. A trainer runs those
/// that cost nothing by itself.
public enum Lint {
  /// Everything that the rules say about a model and how it is to be trained: errors first.
  ///
  /// - Parameters:
  ///   - learningRate: the rate that holds now, if it is no longer the optimizer's.
  ///   - perturbation: what is done to the weights between steps.
  ///   - isFresh: whether the weights have their first values, so that their size matters.
  ///   - runsPass: whether one forward and backward pass on a few examples may run, which finds
  ///     parameters that no gradient reaches; it changes nothing, but what gradient taps keep.
  public static func check(
    model: Model, loss: Loss? = nil, optimizer: Optimizer? = nil, learningRate: Float? = nil,
    schedule: Schedule = .constant, stability: Stability = Stability(),
    perturbation: ShrinkAndPerturb? = nil, train: Dataset? = nil, test: Dataset? = nil,
    augmentation: Augmentation? = nil, batchSize: Int? = nil, isFresh: Bool = true,
    runsPass: Bool = true
  ) -> [Diagnostic] {
    let subject = LintSubject(
      model: model, layout: LintLayout(model), loss: loss, optimizer: optimizer,
      learningRate: learningRate ?? optimizer?.learningRate, schedule: schedule,
      stability: stability, perturbation: perturbation, train: train, test: test,
      augmentation: augmentation, batchSize: batchSize, isFresh: isFresh)
    var found = subject.optionRules() + subject.outputRules() + subject.layerRules()
    found += subject.symmetryRules() + subject.gainRules() + subject.batchNormRules()
    found += subject.dataRules()
    if runsPass {
      for diagnostic in subject.passRules() where !found.contains(where: diagnostic.repeats) {
        found.append(diagnostic)
      }
    }
    return found.errorsFirst
  }
}

extension Diagnostic {
  /// Whether another one says the same of the same place.
  func repeats(_ other: Diagnostic) -> Bool { rule == other.rule && place == other.place }
}

extension [Diagnostic] {
  var errorsFirst: [Diagnostic] { errors + warnings }
}

/// What the rules look at.
struct LintSubject {
  let model: Model
  let layout: LintLayout
  let loss: Loss?
  let optimizer: Optimizer?
  let learningRate: Float?
  let schedule: Schedule
  let stability: Stability
  let perturbation: ShrinkAndPerturb?
  let train: Dataset?
  let test: Dataset?
  let augmentation: Augmentation?
  let batchSize: Int?
  let isFresh: Bool

  /// How the output of the network is called.
  var outputPlace: String { layout.last?.path ?? "model" }

  /// Whether the loss applies a softmax to the outputs.
  var takesLogits: Bool { if case .softmaxCrossEntropy? = loss { true } else { false } }
}
