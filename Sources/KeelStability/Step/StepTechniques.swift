import KeelAutograd
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

  init(_ stability: Stability, _ model: Model) throws(TensorError) {
    flip = stability.flip.map { DeadlyFlipStage($0) }
    equity = try stability.equity.map { (plan) throws(TensorError) in
      try plan.transform.requireFoldable(in: model)
      return try EquityStage(
        plan.transform, ifImbalanceAbove: plan.limit, every: plan.period, memory: plan.memory)
    }
    shrink = stability.shrink
    try equity?.prepare(for: model)
  }

  /// The parameters are no longer those of the step before: nothing is compared with them.
  func forgetSnapshot() { hasBegun = false }

  /// - Parameter step: how many steps there were.
  func stepBegins(model: Model, step: UInt64) throws(TensorError) {
    guard !hasBegun else { return }
    hasBegun = true
    try flip?.trainingBegins(model: model, step: step)
  }

  /// Flip, equity, shrink: flip looks first, so that a unit that the others change does not pass
  /// for a volatile one. A step that was left out changes nothing here either.
  func stepEnded(_ pipeline: StepPipeline, step: UInt64) throws(TensorError) {
    let (model, moments) = (pipeline.model, pipeline.moments)
    if let equity, equity.gradientSizes != nil {
      let applies: NDArray = try onDevice { () throws(DeviceError) in try pipeline.applies() }
      try equity.remember(model, where: applies)
    }
    try flip?.look(
      model: model, moments: moments, step: step, alongside: equity?.parallelArrays(model) ?? [])
    if let equity, equity.isDue(step), try pipeline.hasApplied() {
      try pipeline.keepingClipMeasure { () throws(TensorError) in
        try equity.look(model, moments: moments)
      }
    }
    if let shrink, step % shrink.interval == 0, try pipeline.hasApplied() {
      try shrink.apply(to: model, step: step - 1)
    }
    try flip?.trainingBegins(model: model, step: step)
  }
}

extension EquityStage {
  /// What belongs to the same units as the parameters, and is looked at after an exchange.
  fileprivate func parallelArrays(_ model: Model) -> [NDArray] {
    [model.arena.gradients] + (gradientSizes.map { [$0] } ?? [])
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
