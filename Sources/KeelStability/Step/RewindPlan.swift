import Glibc
import KeelBackend

/// How a training goes back after a bad step, with the policy ``FaultPolicy/rewind``.
public struct RewindPlan: Hashable, Sendable, Codable {
  /// What is done about the step that went wrong, beside going back.
  public enum Response: Hashable, Sendable, Codable {
    /// Its batches are left out from now on.
    case skipBatch
    /// The learning rate is multiplied by the factor, and the batch is met again.
    case shrinkLearningRate(Float)
  }

  /// The most steps between the copies that are kept on the device.
  public var interval: Int
  /// How often a training goes back, at most; once more ends it with an error.
  public var maximum: Int
  /// How many robust deviations above the usual the logarithm of the gradient norm may be, or nil:
  /// then only values that are not finite are bad.
  public var spikeThreshold: Float?
  /// What is done about the bad step.
  public var response: Response

  /// A plan; by default spikes of 12 deviations are bad too.
  public init(
    interval: Int = 32, maximum: Int = 10, spikeThreshold: Float? = 12,
    response: Response = .skipBatch
  ) {
    self.interval = interval
    self.maximum = maximum
    self.spikeThreshold = spikeThreshold
    self.response = response
  }

  func validate() throws(TensorError) {
    guard interval >= 1, interval <= 512 else {
      throw Stability.refusal("rewind", "an interval of 1 ... 512 steps", "\(interval)")
    }
    guard maximum >= 1 else {
      throw Stability.refusal("rewind", "a maximum of at least 1", "\(maximum)")
    }
    if let threshold = spikeThreshold, !(threshold.isFinite && threshold > 0) {
      throw Stability.refusal("rewind", "a finite spike threshold above 0", "\(threshold)")
    }
    if case .shrinkLearningRate(let factor) = response, !(factor > 0 && factor < 1) {
      throw Stability.refusal("rewind", "a factor between 0 and 1", "\(factor)")
    }
  }
}

/// Finds gradient norms far above those of the steps before: by the robust score
/// (x - median) / (1.4826 * median |x - median|) of x = log(norm) over a window.
package struct SpikeDetector: Sendable {
  private static let window = 64
  private static let warmUp = 16
  private let threshold: Double
  /// The logarithms of the last good norms, oldest first.
  private var past: [Double] = []

  package init(threshold: Float) { self.threshold = Double(threshold) }

  /// A detector that has seen the good norms of a training, oldest first: the same as the one that
  /// went along.
  package init(threshold: Float, past norms: some BidirectionalCollection<Float>) {
    self.threshold = Double(threshold)
    let last = norms.reversed().lazy.filter { $0 > 0 && $0.isFinite }.prefix(SpikeDetector.window)
    past = last.reversed().map { log(Double($0)) }
  }

  /// The score of a norm if it is a spike; otherwise the norm becomes part of the past.
  package mutating func score(_ norm: Float) -> Float? {
    guard norm > 0, norm.isFinite else { return nil }
    let x = log(Double(norm))
    if past.count >= SpikeDetector.warmUp {
      let middle = median(past)
      // Norms that hardly vary must not make a spike of every small change: a tenth at least.
      let spread = max(1.4826 * median(past.map { abs($0 - middle) }), 0.1)
      let score = (x - middle) / spread
      if score > threshold { return Float(score) }
    }
    past.append(x)
    if past.count > SpikeDetector.window { past.removeFirst() }
    return nil
  }
}

private func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let half = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}
