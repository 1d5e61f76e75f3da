package import KeelBackend
package import KeelNN

/// What acts on the parameters between steps, each at its own period; only then the host reads.
public final class StepTechniques {
  /// Exchanges units.
  public let flip: DeadlyFlipStage?
  /// Balances gradients.
  public let equity: EquityStage?
  private let shrink: ShrinkAndPerturb?
  private var hasBegun = false

  init(_ stability: Stability) throws(TensorError) {
    flip = stability.flip.map { DeadlyFlipStage($0) }
    equity = try stability.equity.map { (plan) throws(TensorError) in
      try EquityStage(plan.transform, ifImbalanceAbove: plan.limit, every: plan.period)
    }
    shrink = stability.shrink
  }

  /// The parameters are no longer those of the step before: nothing is compared with them.
  func forgetSnapshot() { hasBegun = false }

  /// - Parameter step: how many steps there were.
  func stepBegins(model: Model, step: UInt64) throws(TensorError) {
    guard !hasBegun else { return }
    hasBegun = true
    try flip?.trainingBegins(model: model, step: step)
  }

  /// A step that was left out changed nothing, which no unit's change stands out from, and is not
  /// followed by shrinking.
  func stepEnded(_ pipeline: StepPipeline, step: UInt64) throws(TensorError) {
    let model = pipeline.model
    try equity?.stepEnded(model: model, moments: pipeline.moments, step: step)
    if let shrink, step % shrink.interval == 0, try pipeline.hasApplied() {
      try shrink.apply(to: model, step: step - 1)
    }
    try flip?.stepEnded(model: model, moments: pipeline.moments, step: step)
  }
}

extension Stability {
  /// Throws when a technique finds nothing in a model to act on: it would do nothing in silence.
  ///
  /// - Throws: ``TensorError/shape(_:)`` with the reason.
  package func requireUnits(in model: Model) throws(TensorError) {
    if flip != nil {
      let units = HiddenUnits(model, .permutation)
      guard !units.interchangeable().isEmpty else {
        throw Stability.refusal(
          "flip", "a layer with units that can be exchanged", units.noneBecause)
      }
    }
    if let transform = equity?.transform {
      let units = HiddenUnits(model, .scaling)
      try transform.requireFoldable(units, in: model)
      guard (0...units.count).contains(where: { transform.canMove($0, units) }) else {
        throw Stability.refusal(
          "equity", "a layer with units that a multiplier can be folded into", units.noneBecause)
      }
    }
  }
}
