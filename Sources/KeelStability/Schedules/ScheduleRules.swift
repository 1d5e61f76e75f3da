public import KeelBackend

extension Schedule {
  /// Throws unless every option is usable: counts of at least 1, factors above 0 and at most 1,
  /// ends of at least 0, all finite.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the option and its value.
  public func validate() throws(TensorError) {
    switch self {
    case .constant: break
    case .step(let every, let factor):
      try count(every, "step", "updates between its steps")
      try decay(factor, "step")
    case .multiStep(let places, let factor):
      try check(
        !places.isEmpty && places.allSatisfy { $0 >= 1 }
          && zip(places, places.dropFirst()).allSatisfy(<), "multistep",
        "counts of updates of at least 1 in ascending order", "\(places)")
      try decay(factor, "multistep")
    case .exponential(let factor, let every):
      try decay(factor, "exponential")
      try count(every, "exponential", "updates per factor")
    case .polynomial(let updates, let power, let end):
      try count(updates, "polynomial", "updates")
      try positive(power, "polynomial", "power")
      try ending(end, "polynomial")
    case .linear(let updates, let end):
      try count(updates, "linear", "updates")
      try ending(end, "linear")
    case .cosine(let updates, let end):
      try count(updates, "cosine", "updates")
      try ending(end, "cosine")
    case .cosineRestarts(let period, let multiplier, let end):
      try count(period, "restarts", "updates in its first period")
      try count(multiplier, "restarts", "times the length of the period before")
      try ending(end, "restarts")
    case .warmup(let updates, let start, let schedule):
      try count(updates, "warmup", "updates")
      try ending(start, "warmup", "start")
      if case .warmup = schedule {
        throw .shape(
          ShapeError(
            "schedule 'warmup'", requires: "a schedule that is not another warm-up",
            gotText: "\(schedule)"))
      }
      try schedule.validate()
    case .oneCycle(let updates, let startDivisor, let endDivisor):
      try count(updates, "onecycle", "updates")
      try positive(startDivisor, "onecycle", "start divisor")
      try positive(endDivisor, "onecycle", "end divisor")
    case .noam(let width, let warmup):
      try count(width, "noam", "units as the model's width")
      try count(warmup, "noam", "updates of warm-up")
    case .inverseSquareRoot(let warmup):
      try count(warmup, "inverse-sqrt", "updates of warm-up")
    }
  }

  private func count(_ value: Int, _ name: String, _ what: String) throws(TensorError) {
    try check(value >= 1, name, "at least 1 of the \(what)", "\(value)")
  }

  /// A growth without bounds would end as an infinite learning rate.
  private func decay(_ factor: Double, _ name: String) throws(TensorError) {
    try check(factor > 0 && factor <= 1, name, "a factor above 0 and at most 1", "\(factor)")
  }

  /// Bounded, so that products of them stay finite too.
  private func positive(_ value: Double, _ name: String, _ what: String) throws(TensorError) {
    try check(
      value >= 1e-6 && value <= 1e9, name, "a \(what) within 1e-6 ... 1e9", "\(value)")
  }

  private func ending(
    _ value: Double, _ name: String, _ what: String = "end"
  ) throws(TensorError) {
    try check(value >= 0 && value <= 1e9, name, "a \(what) within 0 ... 1e9", "\(value)")
  }

  private func check(
    _ holds: Bool, _ name: String, _ requirement: String, _ got: String
  ) throws(TensorError) {
    guard holds else {
      throw .shape(ShapeError("schedule '\(name)'", requires: requirement, gotText: got))
    }
  }
}

/// The linear scaling rule: rate = base rate * batch / base batch (Goyal et al., 2017).
///
/// Holds for SGD up to batches of some thousands, with a warm-up; a larger batch needs a rate of
/// its own.
public struct LinearScalingRule: Hashable, Sendable, Codable {
  /// The learning rate that is known to work.
  public let baseRate: Double
  /// The batch that it works with.
  public let baseBatch: Int

  /// The rule for a learning rate that works with a batch.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the rate is finite and above 0 and the batch at
  ///   least 1.
  public init(baseRate: Double, baseBatch: Int) throws(TensorError) {
    guard baseRate.isFinite, baseRate > 0 else {
      throw .shape(
        ShapeError(
          "linear scaling rule", requires: "a finite base rate above 0", gotText: "\(baseRate)"))
    }
    guard baseBatch >= 1 else {
      throw .shape(
        ShapeError(
          "linear scaling rule", requires: "a base batch of at least 1", gotText: "\(baseBatch)"))
    }
    self.baseRate = baseRate
    self.baseBatch = baseBatch
  }

  /// The learning rate for another batch.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the batch is at least 1.
  public func learningRate(batch: Int) throws(TensorError) -> Float {
    guard batch >= 1 else {
      throw .shape(
        ShapeError(
          "linear scaling rule", requires: "a batch of at least 1", gotText: "\(batch)"))
    }
    return Float(baseRate * Double(batch) / Double(baseBatch))
  }
}
