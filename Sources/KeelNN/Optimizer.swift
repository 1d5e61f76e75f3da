public import KeelBackend

/// How gradients become steps, and how large these are.
///
/// Options are checked where the optimizer meets a model: ``Updater`` and `compile` throw.
public struct Optimizer: Hashable, Sendable, Codable {
  /// The name users write, such as `adam`.
  public let name: String
  /// The rule.
  public let rule: OptimizerRule
  /// The size of steps.
  public let learningRate: Float
  /// How strongly parameters are pulled to 0.
  public let weightDecay: Float
  /// Whether decay shrinks parameters directly rather than through the gradient.
  public let decouplesDecay: Bool

  /// Stochastic gradient descent, with momentum (Polyak, 1964) or Nesterov's (Sutskever et al.,
  /// 2013) if asked for. Decay is added to the gradient.
  ///
  /// Momentum has PyTorch's form, v = momentum * v + g and p -= learningRate * v. Keras has the
  /// rate inside, v = momentum * v - learningRate * g and p += v. With a constant rate the steps
  /// are the same; where it changes, PyTorch's form applies the new rate to the whole velocity at
  /// once, Keras's to new gradients only.
  public static func sgd(
    learningRate: Float, momentum: Float = 0, nesterov: Bool = false, dampening: Float = 0,
    weightDecay: Float = 0
  ) -> Optimizer {
    Optimizer(
      name: "sgd", rule: .sgd(momentum: momentum, dampening: dampening, nesterov: nesterov),
      learningRate: learningRate, weightDecay: weightDecay, decouplesDecay: false)
  }

  /// Adam (Kingma & Ba, 2015). Decay is added to the gradient.
  ///
  /// - Parameter epsilon: added outside the root; 1e-8 as in the paper and PyTorch (Keras: 1e-7).
  public static func adam(
    learningRate: Float = 1e-3, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8,
    weightDecay: Float = 0
  ) -> Optimizer {
    Optimizer(
      name: "adam", rule: .adam(beta1: beta1, beta2: beta2, epsilon: epsilon),
      learningRate: learningRate, weightDecay: weightDecay, decouplesDecay: false)
  }

  /// Adam with decoupled weight decay (Loshchilov & Hutter, 2019).
  public static func adamW(
    learningRate: Float = 1e-3, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8,
    weightDecay: Float = 1e-2
  ) -> Optimizer {
    Optimizer(
      name: "adamw", rule: .adam(beta1: beta1, beta2: beta2, epsilon: epsilon),
      learningRate: learningRate, weightDecay: weightDecay, decouplesDecay: true)
  }

  /// Mirror descent (Nemirovski & Yudin, 1983): the step is taken in the image of a map. The
  /// euclidean map is ``sgd(learningRate:momentum:nesterov:dampening:weightDecay:)`` to the bit.
  /// Decay is added to the gradient.
  ///
  /// With ``MirrorMap/entropy`` parameters keep their signs: it is for positive ones, and moves a
  /// negative one the wrong way. Its signed form, EG± (Kivinen & Warmuth, 1997), is the limit of
  /// ``MirrorMap/hypentropy(beta:)`` for beta to 0. Both maps multiply, and explode faster than
  /// plain descent where a step is large.
  ///
  /// - Parameters:
  ///   - isOptimistic: takes 2 g - (the gradient before) in place of g (Nemirovski, 2004;
  ///     Daskalakis et al., 2018), for games and saddle points.
  ///   - stepLimit: bounds |learningRate * g| of every element; nil stands for ln 4 with the maps
  ///     that multiply (a factor of 4 at most) and for no limit with the others, infinity for none.
  public static func mirrorDescent(
    map: MirrorMap, learningRate: Float, isOptimistic: Bool = false, stepLimit: Float? = nil,
    weightDecay: Float = 0
  ) -> Optimizer {
    Optimizer(
      name: "mirror",
      rule: .mirror(
        map, optimistic: isOptimistic, stepLimit: stepLimit ?? Optimizer.usualStepLimit(map)),
      learningRate: learningRate, weightDecay: weightDecay, decouplesDecay: false)
  }

  private static func usualStepLimit(_ map: MirrorMap) -> Float {
    switch map {
    case .euclidean, .power: .infinity
    case .entropy, .hypentropy: 1.386_294_4  // ln 4
    }
  }

  /// Throws unless every option is usable.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the option and its value.
  public func validate() throws(TensorError) {
    try check(
      learningRate.isFinite && learningRate > 0, "a finite learning rate above 0", learningRate)
    try check(
      weightDecay.isFinite && weightDecay >= 0, "a finite weight decay of at least 0", weightDecay)
    switch rule {
    case .sgd(let momentum, let dampening, let nesterov):
      try check(momentum >= 0 && momentum < 1, "a momentum in 0 ..< 1", momentum)
      try check(dampening >= 0 && dampening <= 1, "a dampening in 0 ... 1", dampening)
      try check(
        !nesterov || (momentum > 0 && dampening == 0),
        "a momentum above 0 and no dampening for Nesterov's form", momentum)
    case .adam(let beta1, let beta2, let epsilon):
      try check(beta1 >= 0 && beta1 < 1, "beta1 in 0 ..< 1", beta1)
      try check(beta2 >= 0 && beta2 < 1, "beta2 in 0 ..< 1", beta2)
      try check(epsilon.isFinite && epsilon > 0, "a finite epsilon above 0", epsilon)
    case .mirror(let map, _, let stepLimit):
      try check(stepLimit > 0, "a step limit above 0 (infinite for none)", stepLimit)
      try validate(map)
    }
  }

  private func validate(_ map: MirrorMap) throws(TensorError) {
    switch map {
    case .euclidean, .entropy: break
    case .power(let q):
      // Its inverse map raises to 1 / (q - 1).
      try check(q.isFinite && q > 1 && (1 / (q - 1)).isFinite, "a finite power q above 1", q)
    case .hypentropy(let beta):
      try check(beta.isFinite && beta > 0, "a finite beta above 0", beta)
    }
  }

  private func check(
    _ holds: Bool, _ requirement: String, _ value: Float
  ) throws(TensorError) {
    guard holds else {
      throw .shape(ShapeError(name, requires: requirement, gotText: "\(value)"))
    }
  }
}
