import KeelBackend

/// What one step did, as the host reads it.
public struct StepReport: Hashable, Sendable {
  /// What became of it.
  public var outcome: StepOutcome
  /// The norm of all gradients, before clipping.
  public var norm: Float
  /// The norm of all gradients, after the clip chain.
  public var clippedNorm: Float
  /// The largest magnitude of all gradients, before clipping.
  public var largest: Float
  /// What clipping multiplied the norm by; of stages that treat tensors or units one by one, the
  /// smallest factor. 1 where nothing was clipped.
  public var factor: Float
  /// The learning rate.
  public var learningRate: Float
  /// How many elements of the gradients were not finite.
  public var faults: Int

  package init(
    outcome: StepOutcome, norm: Float, clippedNorm: Float, largest: Float, factor: Float,
    learningRate: Float
  ) {
    self.outcome = outcome
    self.norm = norm
    self.clippedNorm = clippedNorm
    self.largest = largest
    self.factor = factor
    self.learningRate = learningRate
    faults = 0
  }

  /// - Parameters:
  ///   - values: the fields of a decision.
  ///   - tensorNorms: the norm of each parameter's gradient.
  ///   - names: the parameters.
  package init(decision values: ArraySlice<Float>, tensorNorms: ArraySlice<Float>, names: [String])
  {
    func field(_ field: DecisionField) -> Float { values[values.startIndex + field.rawValue] }
    norm = field(.norm)
    clippedNorm = field(.clippedNorm)
    largest = field(.largest)
    learningRate = field(.learningRate)
    faults = Int(field(.faults))
    // Stages that work on elements leave no factor behind, but a smaller norm.
    let ratio = clippedNorm < norm ? clippedNorm / norm : 1
    factor = min(field(.factor), ratio.isNaN ? 1 : ratio)
    let tensors = zip(names, tensorNorms).filter { !$0.1.isFinite }.map(\.0)
    switch StepVerdict(rawValue: Int(field(.verdict))) {
    case .skipped where field(.faultyTensor) == -2: outcome = .skipped(.loss)
    case .skipped: outcome = .skipped(.gradient(tensors: tensors))
    case .halted: outcome = .skipped(.halted)
    case .repaired: outcome = .repaired(tensors: tensors)
    case .applied, .clipped, nil: outcome = factor < 1 ? .clipped(factor: factor) : .applied
    }
  }
}
