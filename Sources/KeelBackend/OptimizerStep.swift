/// How gradients become steps.
public enum OptimizerRule: Hashable, Sendable, Codable {
  /// v = momentum * v + (1 - dampening) * g; step = g + momentum * v if Nesterov, else v
  /// (Sutskever et al., 2013; PyTorch's form). Without momentum the step is g.
  case sgd(momentum: Float, dampening: Float, nesterov: Bool)
  /// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
  /// step = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) (Kingma & Ba, 2015).
  case adam(beta1: Float, beta2: Float, epsilon: Float)
  /// Mirror descent: p = the inverse mirror of (mirror(p) - rate * g); see ``MirrorMap``. The
  /// optimistic form takes 2 g - (the g before) in place of g, and g itself at the first update
  /// (Nemirovski, 2004). `stepLimit` bounds |rate * g| of an element, or is infinite.
  case mirror(MirrorMap, optimistic: Bool, stepLimit: Float)

  /// How many arrays of state, as large as the parameters, the rule keeps.
  public var momentCount: Int {
    switch self {
    case .sgd(let momentum, _, _): momentum == 0 ? 0 : 1
    case .adam: 2
    case .mirror(_, let optimistic, _): optimistic ? 1 : 0
    }
  }
}

/// The geometry of a mirror descent (Nemirovski & Yudin, 1983), element by element.
public enum MirrorMap: Hashable, Sendable, Codable {
  /// p - rate * g: gradient descent, to the bit.
  case euclidean
  /// z = sign(p) |p|^(q - 1) - rate * g; sign(z) |z|^(1 / (q - 1)); q > 1 (Azizan, Lale & Hassibi,
  /// 2019).
  case power(q: Float)
  /// p * exp(-rate * g) (Kivinen & Warmuth, 1997): positive parameters stay positive. On the
  /// simplex a constraint divides by the sum.
  case entropy
  /// beta * sinh(asinh(p / beta) - rate * g) (Ghai, Hazan & Singer, 2020).
  case hypentropy(beta: Float)
}

/// One update of all parameters; its learning rate, clip coefficient and bias corrections are in
/// the step's decision on the device.
package struct OptimizerUpdate: Hashable, Sendable {
  package var rule: OptimizerRule
  package var weightDecay: Float
  /// Whether decay shrinks the parameter (AdamW, Loshchilov & Hutter, 2019) or is added to the
  /// gradient.
  package var decouplesDecay: Bool

  package init(rule: OptimizerRule, weightDecay: Float, decouplesDecay: Bool) {
    self.rule = rule
    self.weightDecay = weightDecay
    self.decouplesDecay = decouplesDecay
  }

  /// Adam's bias correction 1 / (1 - beta^step) in closed form, rounded once from Double.
  package static func biasCorrection(_ beta: Float, step: UInt64) -> Float {
    var (power, base, exponent) = (1.0, Double(beta), step)
    while exponent > 0 {
      if exponent & 1 == 1 { power *= base }
      base *= base
      exponent >>= 1
    }
    return Float(1 / (1 - power))
  }
}

/// The update of all parameters in one launch over the arena.
package protocol OptimizerStepBackend {
  /// For every element of a block whose learning-rate scale s is not 0, with
  /// g = decision.coefficient * gradients[i], learningRate = decision.learningRate, and
  /// d = weightDecay * (decay scale of the block):
  /// coupled: g += d * p, p -= learningRate * s * step(g);
  /// decoupled: p -= learningRate * s * d * p, then p -= learningRate * s * step(g).
  ///
  /// Blocks of scale 0 (frozen parameters) keep parameters and moments bit for bit. Adam in
  /// float32: m, v as in ``OptimizerRule``, the corrections from the decision:
  /// p -= (learningRate * s) * (m * correction1) / (sqrt(v * correction2) + epsilon).
  /// Mirror descent has the decay of ``OptimizerUpdate`` like the others; its step is that of
  /// ``MirrorMap`` with rate = learningRate * s.
  ///
  /// - Parameters:
  ///   - parameters, gradients, moments: float32, equal counts, a multiple of 128.
  ///   - scales: count / 128 x 2: learning-rate scale and decay scale of each block of 128.
  ///   - decision: ``DecisionField``; nothing is done where it does not apply.
  func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, decision: NDArray
  ) throws(DeviceError)
}

/// The granularity of per-parameter scales: every parameter starts at a multiple of it.
package enum ArenaBlock {
  /// Elements per block: ``NDArray/alignment`` bytes of float32.
  package static let count = NDArray.alignment / 4
}
