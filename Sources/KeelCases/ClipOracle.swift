internal import Glibc
internal import KeelBackend

/// The rules of clipping as they are written in the papers, in Double.
struct ClipOracle {
  let rule: ClipRule
  let isLast: Bool
  private(set) var decision: [Double]
  private(set) var state: [Double]
  private(set) var coefficients: [Double]

  /// From the operands of a case: ..., ..., decision, state, coefficients.
  init(_ rule: ClipRule, _ inputs: [[Double]], isLast: Bool) {
    self.rule = rule
    self.isLast = isLast
    (decision, state, coefficients) = (inputs[2], inputs[3], inputs[4])
  }

  private subscript(field: DecisionField) -> Double {
    get { decision[field.rawValue] }
    set { decision[field.rawValue] = newValue }
  }

  /// One update with the norms of its tensors, the norm and the largest magnitude of all.
  mutating func update(norms: [Double], norm: Double, largest: Double) {
    guard self[.applies] != 0 else { return }
    let factors: [Double]
    switch rule {
    case .globalNorm(let limit):
      factors = norms.map { _ in factor(Double(limit), norm) }
    case .globalMaxAbs(let limit):
      factors = norms.map { _ in factor(Double(limit), largest) }
    case .perTensorNorm(let limit):
      factors = norms.map { factor(Double(limit), $0) }
    case .autoClip(let percentile, let window):
      let shared = autoClip(Double(percentile), window, norm)
      factors = norms.map { _ in shared }
    case .zClip(let alpha, let threshold, let warmUp):
      let shared = zClip(Double(alpha), Double(threshold), Double(warmUp), norm)
      factors = norms.map { _ in shared }
    case .adaGC(let relative, let beta, let warmUp, let limit):
      factors = adaGC(
        Double(relative), Double(beta), Double(warmUp), Double(limit), norms, norm)
    }
    let smallest = factors.min() ?? 1
    coefficients = rule.isGlobal && isLast ? norms.map { _ in 1 } : factors
    if rule.isGlobal && isLast { self[.coefficient] = smallest }
    self[.factor] = min(self[.factor], smallest)
    self[.clippedNorm] = norm
    if smallest < 1 {
      let squares = zip(factors, norms).reduce(0) { $0 + ($1.0 * $1.1) * ($1.0 * $1.1) }
      self[.clippedNorm] = rule.isGlobal ? smallest * norm : squares.squareRoot()
      if self[.verdict] == Double(StepVerdict.applied.rawValue) {
        self[.verdict] = Double(StepVerdict.clipped.rawValue)
      }
    }
  }

  private func factor(_ limit: Double, _ measure: Double) -> Double {
    measure > limit && limit > 0 ? limit / measure : 1
  }

  private mutating func autoClip(_ percentile: Double, _ window: Int, _ norm: Double) -> Double {
    guard norm.isFinite else { return norm == .infinity ? 0 : 1 }
    let updates = Int(state[0])
    state[1 + updates % window] = norm
    let held = min(updates + 1, window)
    let sorted = state[1..<1 + held].sorted()
    state.replaceSubrange(1 + window..<1 + window + held, with: sorted)
    state[0] = Double(updates + 1 == 2 * window ? window : updates + 1)
    let rank = max(1, Int((percentile * Double(held) / 100).rounded(.up)))
    return factor(sorted[rank - 1], norm)
  }

  private mutating func zClip(
    _ alpha: Double, _ threshold: Double, _ warmUp: Double, _ norm: Double
  ) -> Double {
    guard norm.isFinite else { return norm == .infinity ? 0 : 1 }
    state[0] += 1
    if state[0] <= warmUp {
      let distance = norm - state[1]
      state[1] += distance / state[0]
      state[3] += distance * (norm - state[1])
      state[2] = state[3] / state[0]
      return 1
    }
    let (mean, deviation) = (state[1], state[2].squareRoot())
    let z = (norm - mean) / (deviation + Double(Float(1e-6)))
    let limit = mean + threshold * deviation / (z / threshold)
    let factor = z > threshold ? factor(limit, norm) : 1
    state[1] = alpha * mean + (1 - alpha) * factor * norm
    let distance = factor * norm - state[1]
    state[2] = alpha * state[2] + (1 - alpha) * distance * distance
    return factor
  }

  private mutating func adaGC(
    _ relative: Double, _ beta: Double, _ warmUp: Double, _ limit: Double, _ norms: [Double],
    _ norm: Double
  ) -> [Double] {
    let warmsUp = state[0] < warmUp
    state[0] += 1
    return norms.enumerated().map { t, own in
      let before = state[1 + t]
      if warmsUp {
        let shared = factor(limit, norm)
        let after = shared * own
        if after.isFinite, after > 0 { state[1 + t] = before > 0 ? min(before, after) : after }
        return shared
      }
      let factor = before > 0 ? factor(relative * before, own) : 1
      let after = factor * own
      guard after.isFinite else { return factor }
      state[1 + t] = before > 0 ? beta * before + (1 - beta) * after : after
      return factor
    }
  }
}
