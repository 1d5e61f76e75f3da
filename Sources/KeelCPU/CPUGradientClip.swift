internal import CKeelLoops
internal import Glibc
package import KeelBackend

extension CPUBackend: GradientClipBackend {
  package func clipCoefficients(
    _ rule: ClipRule, _ reading: TelescopeReading, isLast: Bool, state: NDArray?,
    decision: NDArray, into coefficients: NDArray
  ) throws(DeviceError) {
    countLaunch()
    let fields = decision.floats
    guard fields[DecisionField.applies.rawValue] != 0 else { return }
    let summary = reading.summary.floats
    let factors = ClipFactors(
      tensors: reading.tensorCount,
      statistics: reading.statistics.pointer(as: SIMD2<Float>.self),
      norm: summary[0], largest: summary[1], state: state?.floats,
      coefficients: coefficients.floats)
    let smallest: Float
    var clipped = summary[0]
    if rule.isGlobal {
      smallest = factors.shared(rule)
      coefficients.floats.update(repeating: isLast ? 1 : smallest, count: reading.tensorCount)
      if isLast { fields[DecisionField.coefficient.rawValue] = smallest }
      if smallest < 1 { clipped = smallest * clipped }
    } else {
      smallest = factors.perTensor(rule)
      if smallest < 1 { clipped = factors.clippedNorm() }
    }
    let factor = fields[DecisionField.factor.rawValue]
    fields[DecisionField.factor.rawValue] = smallest < factor ? smallest : factor
    fields[DecisionField.clippedNorm.rawValue] = clipped
    let verdict = fields + DecisionField.verdict.rawValue
    if smallest < 1, verdict.pointee == Float(StepVerdict.applied.rawValue) {
      verdict.pointee = Float(StepVerdict.clipped.rawValue)
    }
  }

  package func scaleGradients(
    _ g: NDArray, _ table: TelescopeTable, coefficients: NDArray, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard decision.floats[DecisionField.applies.rawValue] != 0 else { return }
    let chunks = table.chunks.pointer(as: SIMD4<Int32>.self)
    let (factors, gradients) = (coefficients.floats, g.floats)
    inParts(of: partSize / TelescopeTable.chunk, table.chunkCount) { begin, end in
      for number in begin..<end {
        let chunk = chunks[number]
        let factor = factors[Int(chunk[2])]
        if factor != 1 { keel_scale(gradients + Int(chunk[0]), Int(chunk[1]), factor) }
      }
    }
  }

  package func clipElements(
    _ g: NDArray, limit: Float, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard decision.floats[DecisionField.applies.rawValue] != 0 else { return }
    let gradients = g.floats
    inParts(of: partSize, g.count) { begin, end in
      keel_clip_elements(gradients + begin, end - begin, limit)
    }
  }

  package func repairGradients(
    _ g: NDArray, _ repair: FaultRepair, faults: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard faults.pointer(as: Int32.self)[0] != 0 else { return }
    let gradients = g.floats
    inParts(of: partSize, g.count) { begin, end in
      keel_repair(gradients + begin, end - begin, repair.infinite)
    }
  }
}

/// The factors of a clip rule. Every product and sum is rounded on its own, in the order of the
/// kernel `gradient_clip_coefficients`, so that devices agree.
private struct ClipFactors {
  let tensors: Int
  let statistics: UnsafePointer<SIMD2<Float>>
  let norm: Float
  let largest: Float
  let state: UnsafeMutablePointer<Float>?
  let coefficients: UnsafeMutablePointer<Float>

  /// What brings a measure down to its limit: corrected once, so that the product is the limit as
  /// nearly as can be. A NaN clips nothing, nor does a limit of 0.
  private func factor(_ limit: Float, _ measure: Float) -> Float {
    guard measure > limit, limit > 0 else { return 1 }
    let factor = limit / measure
    return measure.isFinite
      ? factor + limit.addingProduct(-factor, measure) / measure : factor
  }

  private var rulesState: UnsafeMutablePointer<Float> {
    guard let state else { fatalError("a clip rule came without its state") }
    return state
  }

  /// The one factor of a global rule.
  func shared(_ rule: ClipRule) -> Float {
    switch rule {
    case .globalNorm(let limit): factor(limit, norm)
    case .globalMaxAbs(let limit): factor(limit, largest)
    case .autoClip(let percentile, let window):
      norm.isFinite ? factor(autoClipLimit(percentile, window), norm) : ofInfinity
    case .zClip(let alpha, let threshold, let warmUp):
      norm.isFinite ? factor(zClipLimit(alpha, threshold, warmUp), norm) : ofInfinity
    case .perTensorNorm, .adaGC: 1
    }
  }

  /// An infinite norm of finite elements is above every limit, and no number to learn from.
  private var ofInfinity: Float { norm == .infinity ? 0 : 1 }

  /// Puts the norm into the ring and among the sorted norms, the oldest out where the ring is full.
  private func autoClipLimit(_ percentile: Float, _ window: Int) -> Float {
    let state = rulesState
    let (ring, sorted) = (state + 1, state + 1 + window)
    let updates = Int(state[0])
    let held = min(updates, window)
    let slot = updates % window
    var to = place(norm, sorted, held)
    let from = held == window ? place(ring[slot], sorted, held) : held
    if from < to {
      to -= 1
      (sorted + from).update(from: sorted + from + 1, count: to - from)
    } else {
      (sorted + to + 1).update(from: sorted + to, count: from - to)
    }
    sorted[to] = norm
    ring[slot] = norm
    // Rounds of the ring, not all updates: a float32 counts only so far.
    state[0] = Float(updates + 1 == 2 * window ? window : updates + 1)
    return sorted[rank(percentile, min(updates + 1, window)) - 1]
  }

  /// The first place of `count` sorted numbers whose number is not below x.
  private func place(_ x: Float, _ sorted: UnsafePointer<Float>, _ count: Int) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < x { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The smallest k of at least 1 with 100 k >= percentile * count.
  private func rank(_ percentile: Float, _ count: Int) -> Int {
    let wanted = percentile * Float(count)
    var rank = max(1, Int(wanted / 100))
    while rank < count, Float(rank) * 100 < wanted { rank += 1 }
    while rank > 1, Float(rank - 1) * 100 >= wanted { rank -= 1 }
    return min(rank, count)
  }

  /// The limit of the norm by its distance from the moving mean, in deviations; 0 clips nothing.
  /// The state moves with the norm as it is after clipping.
  private func zClipLimit(_ alpha: Float, _ threshold: Float, _ warmUp: Int) -> Float {
    let state = rulesState
    let updates = state[0] + 1
    var (mean, variance, squares, limit) = (state[1], state[2], state[3], Float(0))
    let most = Float.greatestFiniteMagnitude
    if updates <= Float(warmUp) {
      let distance = norm - mean
      mean += distance / updates
      // What overflows stays a number: one norm of the warm-up must not be felt for ever.
      squares = min(squares + distance * (norm - mean), most)
      variance = squares / updates
    } else {
      let deviation = variance.squareRoot()
      let z = (norm - mean) / (deviation + 1e-6)
      if z > threshold { limit = mean + threshold * deviation / (z / threshold) }
      let factor = z > threshold ? factor(limit, norm) : 1
      let fed = factor < 1 ? factor * norm : norm
      mean = alpha * mean + (1 - alpha) * fed
      let distance = fed - mean
      variance = min(alpha * variance + (1 - alpha) * (distance * distance), most)
    }
    (state[0], state[1], state[2], state[3]) = (updates, mean, variance, squares)
    return limit
  }

  /// Writes the factor of each tensor and returns the smallest.
  func perTensor(_ rule: ClipRule) -> Float {
    var smallest: Float = 1
    switch rule {
    case .perTensorNorm(let limit):
      for t in 0..<tensors {
        coefficients[t] = factor(limit, statistics[t][0])
        smallest = min(smallest, coefficients[t])
      }
    case .adaGC(let relative, let beta, let warmUp, let limit):
      let warmsUp = rulesState[0] < Float(warmUp)
      for t in 0..<tensors {
        coefficients[t] =
          warmsUp
          ? warm(tensor: t, factor(limit, norm)) : adapt(tensor: t, relative, beta)
        smallest = min(smallest, coefficients[t])
      }
      rulesState[0] += 1
    default: break
    }
    return smallest
  }

  private func warm(tensor: Int, _ factor: Float) -> Float {
    let before = rulesState[1 + tensor]
    let after = factor * statistics[tensor][0]
    if after.isFinite, after > 0 {
      rulesState[1 + tensor] = before > 0 ? min(before, after) : after
    }
    return factor
  }

  private func adapt(tensor: Int, _ relative: Float, _ beta: Float) -> Float {
    let (before, norm) = (rulesState[1 + tensor], statistics[tensor][0])
    // A tensor that had no gradient yet starts with its first.
    let factor = before > 0 ? factor(relative * before, norm) : 1
    let after = factor * norm
    if after.isFinite {
      rulesState[1 + tensor] = before > 0 ? beta * before + (1 - beta) * after : after
    }
    return factor
  }

  /// The norm of all tensors after their factors.
  func clippedNorm() -> Float {
    var sum = 0.0
    for t in 0..<tensors {
      let part = Double(coefficients[t] * statistics[t][0])
      sum += part * part
    }
    return Float(sum.squareRoot())
  }
}
