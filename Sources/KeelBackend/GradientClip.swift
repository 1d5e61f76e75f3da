/// How gradients of a step are limited; all limits are finite and above 0.
///
/// A limit that a rule works out as 0 (of gradients that were 0 so far) clips nothing. A norm that
/// is not finite moves no state: NaN clips nothing, and the infinite norm of finite elements is
/// above every limit, which gives the factor 0.
package enum ClipRule: Hashable, Sendable {
  /// Global: norm > limit ? limit / norm : 1 (Pascanu et al., 2012).
  case globalNorm(Float)
  /// Global: the same with the largest magnitude in place of the norm.
  case globalMaxAbs(Float)
  /// Per tensor: its norm > limit ? limit / its norm : 1.
  case perTensorNorm(Float)
  /// Global: the limit is the percentile p (0 ... 100) of the norms of the last `window` updates
  /// (Seetharaman et al., 2020), this one included: the element of rank ceil(p / 100 * n), at
  /// least 1, of the n sorted norms.
  case autoClip(percentile: Float, window: Int)
  /// Global (arXiv 2504.02507): mean m and variance s^2 of the norm as moving averages that keep
  /// alpha; after `warmUp` norms (their mean and variance are the start, nothing is clipped):
  /// z = (n - m) / (s + 1e-6); z > threshold: limit = m + threshold * s / (z / threshold).
  /// The clipped norm is fed back: m = alpha m + (1 - alpha) n', then
  /// s^2 = alpha s^2 + (1 - alpha) (n' - m)^2.
  case zClip(alpha: Float, threshold: Float, warmUp: Int)
  /// Per tensor (arXiv 2502.11034): h = min(1, relative * y / n), y = beta y + (1 - beta) h n.
  /// In the first `warmUp` updates the global norm is clipped to `limit` instead, and y becomes the
  /// smallest clipped norm of the tensor so far. Norms of 0 are left out there: y starts with the
  /// first norm above 0, whenever it comes, so that a tensor whose gradient is 0 at first (behind a
  /// branch that starts at 0) is not held there for ever.
  case adaGC(relative: Float, beta: Float, warmUp: Int, limit: Float)

  /// Whether one coefficient serves all tensors.
  package var isGlobal: Bool {
    switch self {
    case .perTensorNorm, .adaGC: false
    default: true
    }
  }

  /// How many float32 of state it keeps for so many tensors, at first 0. zClip: count, mean,
  /// variance, and the sum of squared deviations of the warm-up (Welford, 1962). autoClip: count
  /// (from 2 windows on one window less, since float32 counts only so far), then the ring of
  /// norms, then the same norms sorted. adaGC: count, then y of each tensor.
  package func stateCount(tensors: Int) -> Int {
    switch self {
    case .globalNorm, .globalMaxAbs, .perTensorNorm: 0
    case .autoClip(_, let window): 1 + 2 * window
    case .zClip: 4
    case .adaGC: 1 + tensors
    }
  }
}

/// How elements that are not finite are replaced.
package enum FaultRepair: Int, Sendable {
  /// Each by 0.
  case zero
  /// NaN by 0, an infinity by the largest finite number of its sign.
  case clipFinite

  /// What a positive infinity becomes.
  package var infinite: Float { self == .zero ? 0 : .greatestFiniteMagnitude }
}

/// The parts of a clip chain. None does anything where `decision` does not apply; a NaN norm (which
/// no such step has) clips nothing.
package protocol GradientClipBackend {
  /// Decides what the gradients are multiplied by, and moves the rule's state.
  ///
  /// coefficients[t] is the factor of tensor t. Where `isLast` and the rule is global they are 1,
  /// and decision.coefficient is the factor instead: the optimizer's launch then multiplies, and no
  /// pass over the gradients is needed. decision.factor = min(factor, every factor);
  /// decision.clippedNorm = the norm after this rule (of a per-tensor rule: the root of the sum of
  /// squares of (factor x norm) of the tensors; the norm itself where no factor is below 1);
  /// where a factor is below 1, verdict applied becomes
  /// clipped. The factor is rounded so that the product is the limit as nearly as float32 allows;
  /// a norm that is not above its limit gives exactly 1.
  func clipCoefficients(
    _ rule: ClipRule, _ reading: TelescopeReading, isLast: Bool, state: NDArray?,
    decision: NDArray, into coefficients: NDArray
  ) throws(DeviceError)

  /// g *= coefficients[tensor], in place; a tensor with the coefficient 1 is not touched.
  func scaleGradients(
    _ g: NDArray, _ table: TelescopeTable, coefficients: NDArray, decision: NDArray
  ) throws(DeviceError)

  /// g = g < -limit ? -limit : g > limit ? limit : g, in place; a NaN stays.
  func clipElements(_ g: NDArray, limit: Float, decision: NDArray) throws(DeviceError)

  /// Replaces elements that are not finite, in place; does nothing where faults[0] is 0.
  func repairGradients(
    _ g: NDArray, _ repair: FaultRepair, faults: NDArray
  ) throws(DeviceError)
}
