import Glibc
import KeelBackend

/// A term that is added to the loss, by its gradient: the loss that is reported is the data's
/// alone.
///
/// Terms apply to parameters that decay: not to biases and the parameters of normalisation.
public enum Penalty: Hashable, Sendable, Codable {
  /// strength * sum |w| by its sub-gradient, sign(0) = 0: weights come near 0 and oscillate there.
  case l1(Float)
  /// The same by its proximal step after the update (ISTA, Daubechies et al., 2004): small weights
  /// become exactly 0.
  case l1Proximal(Float)
  /// strength / 2 * sum w^2.
  case l2(Float)
  /// l1 * sum |w| + l2 / 2 * sum w^2 (Zou & Hastie, 2005).
  case elasticNet(l1: Float, l2: Float)
  /// strength * ‖W'W - 1‖^2 of each weight as a matrix whose columns are its units, or WW' where
  /// these are more than its rows (Brock et al., 2017).
  case orthogonal(Float)

  /// The strengths of the terms that one pass over the arena adds.
  var coupled: (l1: Float, l2: Float) {
    switch self {
    case .l1(let strength): (strength, 0)
    case .l2(let strength): (0, strength)
    case .elasticNet(let l1, let l2): (l1, l2)
    case .l1Proximal, .orthogonal: (0, 0)
    }
  }

  var pullsToZero: Bool {
    if case .orthogonal = self { false } else { true }
  }

  func validate() throws(TensorError) {
    let strengths: [Float] =
      switch self {
      case .l1(let strength), .l1Proximal(let strength), .l2(let strength),
        .orthogonal(let strength):
        [strength]
      case .elasticNet(let l1, let l2): [l1, l2]
      }
    for strength in strengths where !(strength.isFinite && strength > 0) {
      throw Stability.refusal(
        "penalty", "a finite strength above 0 (leave the term out to turn it off)",
        "\(strength)")
    }
  }
}

/// What weights are held to after each update: those with two axes or more, whose last axis is the
/// units.
public enum Constraint: Hashable, Sendable, Codable {
  /// The norm of each unit's incoming weights to at most this (Srebro & Shraibman, 2005).
  case maximumNorm(Float)
  /// The norm of each unit's incoming weights to 1.
  case unitNorm
  /// The largest singular value of each weight to at most this, by one power iteration a step
  /// (Miyato et al., 2018).
  case spectralNorm(Float)
  /// The sum of each unit's incoming weights to 1, all of them positive: for exponentiated
  /// gradients.
  case simplex

  var fixesUnits: Bool {
    if case .spectralNorm = self { false } else { true }
  }

  func validate() throws(TensorError) {
    switch self {
    case .maximumNorm(let limit), .spectralNorm(let limit):
      guard limit.isFinite, limit > 0 else {
        throw Stability.refusal("constraint", "a finite limit above 0", "\(limit)")
      }
    case .unitNorm, .simplex: break
    }
  }
}

extension Constraint: CustomStringConvertible {
  /// A few words.
  public var description: String {
    switch self {
    case .maximumNorm(let limit): "a norm of at most \(limit)"
    case .unitNorm: "a norm of 1"
    case .spectralNorm(let limit): "a spectral norm of at most \(limit)"
    case .simplex: "a sum of 1"
    }
  }
}

/// Noise that is added to gradients before the optimizer sees them.
public enum NoisePlan: Hashable, Sendable, Codable {
  /// Each element uniform in -a ... a with a = amplitude / (1 + t)^0.55, t counting updates from 0:
  /// UPSGD, after the annealed noise of Neelakantan et al. (2015). An amplitude of 0 is plain
  /// descent, bit for bit. The norm of the noise is about a * sqrt(count / 3): amplitudes must
  /// shrink with the number of parameters.
  case uniform(amplitude: Float)
  /// Uniform in a ball of this radius, where the norm of the gradient is below the threshold
  /// (perturbed gradient descent, Jin et al., 2017). Made on the host: slow for large models.
  case ball(radius: Float, whereNormBelow: Float)

  /// The amplitude of uniform noise at the update that `updates` came before.
  func amplitude(after updates: UInt64) -> Float {
    guard case .uniform(let amplitude) = self else { return 0 }
    return Float(Double(amplitude) / pow(1 + Double(updates), 0.55))
  }

  func validate() throws(TensorError) {
    let numbers: [Float] =
      switch self {
      case .uniform(let amplitude): [amplitude]
      case .ball(let radius, let threshold): [radius, threshold]
      }
    for number in numbers where !(number.isFinite && number >= 0) {
      throw Stability.refusal("noise", "finite numbers of at least 0", "\(number)")
    }
  }
}

/// Coordinate descent: which one of the parameter tensors a step updates (Nesterov, 2012).
public enum CoordinateOrder: String, Hashable, Sendable, Codable, CaseIterable {
  /// One after the other, in the order of declaration.
  case cyclic
  /// Each with the same probability, by the model's seed and the count of attempts.
  case random
}
