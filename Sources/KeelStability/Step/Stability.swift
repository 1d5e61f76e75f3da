public import KeelBackend
public import KeelNN

/// What is done about gradients that are not finite.
public enum FaultPolicy: String, Hashable, Sendable, Codable, CaseIterable {
  /// Leave out the step: nothing changes. The default.
  case skipStep = "skip"
  /// Leave out the step and stop the training with an error.
  case raise
  /// Take the step with 0 in place of every value that is not finite.
  case zero
  /// Take the step with 0 in place of NaN, and the largest finite number in place of an infinity,
  /// which a clip stage should follow.
  case clipFinite = "clip-finite"
  /// Go back to the last good state, leave the batch out, and go on.
  case rewind
}

/// All that a step does besides the optimizer's rule, in this order: unscale, scan for values that
/// are not finite, penalties, clip chain, noise, optimizer, constraints, then flip, equity and
/// shrinking where it is their turn.
///
/// The scan sees the gradients with the penalties added, in one pass with the norm for clipping: a
/// penalty's gradient is finite where the parameters are.
public struct Stability: Hashable, Sendable, Codable {
  /// How gradients are limited.
  public var clip: ClipChain
  /// What is done about gradients that are not finite.
  public var onFault: FaultPolicy
  /// How many steps in a row may be left out; one more ends the training with an error.
  public var maximumSkips: Int
  /// How the training goes back, with the policy ``FaultPolicy/rewind``.
  public var rewind: RewindPlan
  /// Terms that the loss has besides the data's.
  public var penalties: [Penalty]
  /// What weights are held to after each update.
  public var constraints: [Constraint]
  /// Noise that is added to the gradients.
  public var noise: NoisePlan?
  /// Updates only one parameter per step, in turn or at random.
  public var coordinates: CoordinateOrder?
  /// Exchanges a volatile unit with a calm one every so many steps.
  public var flip: DeadlyFlip?
  /// Balances gradients between layers every so many steps.
  public var equity: PeriodicEquity?
  /// Shrinks and perturbs the weights every so many steps.
  public var shrink: ShrinkAndPerturb?
  /// What the loss is multiplied by before the backward pass, and gradients are divided by after: a
  /// power of two, to keep small gradients from underflow in half precision.
  public var lossScale: Float

  /// Options; by default nothing is clipped, and a step that is not finite is left out.
  public init(
    clip: ClipChain = [], onFault: FaultPolicy = .skipStep, maximumSkips: Int = 10,
    rewind: RewindPlan = RewindPlan(), penalties: [Penalty] = [], constraints: [Constraint] = [],
    noise: NoisePlan? = nil,
    coordinates: CoordinateOrder? = nil, flip: DeadlyFlip? = nil,
    equity: PeriodicEquity? = nil, shrink: ShrinkAndPerturb? = nil, lossScale: Float = 1
  ) {
    self.clip = clip
    self.onFault = onFault
    self.maximumSkips = maximumSkips
    self.rewind = rewind
    self.penalties = penalties
    self.constraints = constraints
    self.noise = noise
    self.coordinates = coordinates
    self.flip = flip
    self.equity = equity
    self.shrink = shrink
    self.lossScale = lossScale
  }

  /// Throws unless every option is usable, and they are together and with an optimizer.
  ///
  /// - Throws: ``TensorError/shape(_:)`` with the reason.
  public func validate(with optimizer: Optimizer) throws(TensorError) {
    try clip.validate()
    for penalty in penalties { try penalty.validate() }
    for constraint in constraints { try constraint.validate() }
    try noise?.validate()
    try rewind.validate()
    guard maximumSkips >= 0, maximumSkips <= 1 << 20 else {
      throw Stability.refusal("stability", "0 ... 1048576 skips in a row", "\(maximumSkips)")
    }
    guard lossScale.isFinite, lossScale > 0, lossScale.significand == 1 else {
      throw Stability.refusal(
        "stability", "a loss scale that is a power of two, so that no bit is lost",
        "\(lossScale)")
    }
    try requireConsistency(with: optimizer)
  }

  /// Refuses defences that undo each other.
  private func requireConsistency(with optimizer: Optimizer) throws(TensorError) {
    func refuse(_ requirement: String, _ reason: String) -> TensorError {
      Stability.refusal("stability", requirement, reason)
    }
    let fixesNorm = constraints.contains { $0 == .unitNorm || $0 == .simplex }
    let decays = optimizer.weightDecay > 0 || penalties.contains { $0.pullsToZero }
    if fixesNorm && decays {
      throw refuse(
        "either a constraint that fixes the size of weights or a decay",
        "both: the constraint undoes what the decay does")
    }
    if equity != nil, let constraint = constraints.first {
      throw refuse(
        "either the equity transform or a constraint on the size of weights",
        "the transform and \(constraint.description): it moves sizes between layers, which the "
          + "constraint undoes")
    }
    if constraints.filter(\.fixesUnits).count > 1 {
      throw refuse(
        "one constraint on the size of each unit",
        constraints.map(\.description).joined(separator: " and "))
    }
    let pullsSquared = penalties.contains {
      switch $0 {
      case .l2, .elasticNet: true
      default: false
      }
    }
    if pullsSquared, optimizer.weightDecay > 0 {
      throw refuse(
        "either an L2 penalty or the optimizer's weight decay",
        "both: weights would decay twice")
    }
    if constraints.contains(.simplex), !optimizer.rule.keepsSigns {
      throw refuse(
        "mirror descent with the entropy map for weights on the simplex",
        "'\(optimizer.name)', which makes them negative")
    }
  }

  /// The error for an option that is not usable.
  static func refusal(_ what: String, _ requirement: String, _ got: String) -> TensorError {
    .shape(ShapeError(what, requires: requirement, gotText: got))
  }
}

extension OptimizerRule {
  /// Whether positive parameters stay positive.
  var keepsSigns: Bool {
    if case .mirror(.entropy, _, _) = self { true } else { false }
  }
}
