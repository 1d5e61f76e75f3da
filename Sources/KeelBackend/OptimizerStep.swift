/// How gradients become steps.
public enum OptimizerRule: Hashable, Sendable, Codable {
  /// v = momentum * v + (1 - dampening) * g; step = g + momentum * v if Nesterov, else v
  /// (Sutskever et al., 2013; PyTorch's form). Without momentum the step is g.
  case sgd(momentum: Float, dampening: Float, nesterov: Bool)
  /// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
  /// step = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) (Kingma & Ba, 2015).
  case adam(beta1: Float, beta2: Float, epsilon: Float)

  /// How many arrays of state, as large as the parameters, the rule keeps.
  public var momentCount: Int {
    switch self {
    case .sgd(let momentum, _, _): momentum == 0 ? 0 : 1
    case .adam: 2
    }
  }
}

/// One update of all parameters.
package struct OptimizerUpdate: Hashable, Sendable {
  package var rule: OptimizerRule
  package var learningRate: Float
  package var weightDecay: Float
  /// Whether decay shrinks the parameter (AdamW, Loshchilov & Hutter, 2019) or is added to the
  /// gradient.
  package var decouplesDecay: Bool
  /// The number of this update, from 1: the t of the bias corrections.
  package var step: UInt64

  package init(
    rule: OptimizerRule, learningRate: Float, weightDecay: Float, decouplesDecay: Bool,
    step: UInt64
  ) {
    precondition(step >= 1)
    self.rule = rule
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.decouplesDecay = decouplesDecay
    self.step = step
  }

  /// Adam's bias corrections 1 / (1 - beta^step) in closed form, rounded once from Double.
  package func biasCorrection(_ beta: Float) -> Float {
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
  /// g = coefficient * gradients[i] and d = weightDecay * (decay scale of the block):
  /// coupled: g += d * p, p -= learningRate * s * step(g);
  /// decoupled: p -= learningRate * s * d * p, then p -= learningRate * s * step(g).
  ///
  /// Blocks of scale 0 (frozen parameters) keep parameters and moments bit for bit. Adam in
  /// float32: m, v as in ``OptimizerRule``, the corrections from
  /// ``OptimizerUpdate/biasCorrection(_:)``: p -= (learningRate * s) * (m * correction1) /
  /// (sqrt(v * correction2) + epsilon).
  ///
  /// - Parameters:
  ///   - parameters, gradients, moments: float32, equal counts, a multiple of 128.
  ///   - scales: count / 128 x 2: learning-rate scale and decay scale of each block of 128.
  ///   - summary: the output of ``GlobalNormClipBackend/globalNormClip(_:limit:into:)``, or nil
  ///     for a coefficient of 1.
  func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, summary: NDArray?
  ) throws(DeviceError)
}

/// The granularity of per-parameter scales: every parameter starts at a multiple of it.
package enum ArenaBlock {
  /// Elements per block: ``NDArray/alignment`` bytes of float32.
  package static let count = NDArray.alignment / 4
}
