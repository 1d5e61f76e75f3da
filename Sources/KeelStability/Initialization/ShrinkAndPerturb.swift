import KeelAutograd
public import KeelBackend
public import KeelNN

/// Shrinks weights and adds noise: w = lambda * w + a * u, u uniform in low ..< high (shrink and
/// perturb, Ash & Adams, 2020). As a chain this is an affine AR(1) process: after k times
/// E[w] = lambda^k * w0 + a * (low + high) / 2 * (1 - lambda^k) / (1 - lambda), and the variance
/// tends to a^2 * (high - low)^2 / 12 / (1 - lambda^2).
///
/// ```swift
/// let refresh = try ShrinkAndPerturb.recommended(shrink: 0.5, every: 1000)
/// try refresh.initialize(model)
/// … // in the training loop:
/// try refresh.apply(to: model, step: step)
/// ```
///
/// It changes weights alone: parameters of two axes or more that weight decay applies to. Biases,
/// parameters of normalisations and frozen parameters keep every bit; an optimizer's moments stay
/// too. Noise is made on the device from the model's seed, the parameter and the step alone: a
/// resumed training sees the same, and devices agree to the bit.
public struct ShrinkAndPerturb: Hashable, Sendable, Codable {
  /// Where the size of the noise comes from.
  public enum Noise: Hashable, Sendable, Codable {
    /// The same for all weights.
    case fixed(amplitude: Float, low: Float, high: Float)
    /// In -a ..< a with a = sqrt(3 * (1 - lambda^2) * v): v, the variance that the weight's own
    /// initialiser has (Glorot's where it has none), is then the variance that the chain tends to.
    case matchesInitializer
  }

  /// lambda, what weights are multiplied by.
  public let shrink: Float
  /// The noise.
  public let noise: Noise
  /// How many steps lie between two applications.
  public let interval: UInt64

  /// A form of one's own.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless |shrink| < 1, the numbers are finite and
  ///   `interval` is at least 1.
  public init(shrink: Float, noise: Noise, every interval: Int = 1) throws(TensorError) {
    guard abs(shrink) < 1 else {
      throw .shape(
        ShapeError(
          "shrink and perturb",
          requires: "a shrink factor of magnitude below 1 (else weights grow without bound)",
          gotText: "\(shrink)"))
    }
    if case .fixed(let amplitude, let low, let high) = noise {
      let isUsable =
        low <= high && (amplitude * low).isFinite && (amplitude * high).isFinite
        && (amplitude * (high - low)).isFinite
      guard isUsable else {
        throw .shape(
          ShapeError(
            "shrink and perturb", requires: "a finite amplitude and finite bounds, low <= high",
            gotText: "\(amplitude), \(low) and \(high)"))
      }
    }
    guard interval >= 1 else {
      throw .shape(
        ShapeError(
          "shrink and perturb", requires: "an interval of at least one step",
          gotText: "\(interval)"))
    }
    self.shrink = shrink
    self.noise = noise
    self.interval = UInt64(interval)
  }

  /// The literal form w = w * learning rate + 0.1 * U(0, 1).
  ///
  /// - Warning: every weight becomes positive, 0.0556 ± 0.0290 for a learning rate of 0.1: the
  ///   activations of a stack of relu layers grow by 0.0556 * fan-in per layer, which explodes once
  ///   the fan-in is above 18. At every step it erases all but `learningRate` of what was learned.
  public static func article(
    learningRate: Float, every interval: Int = 1
  ) throws(TensorError) -> ShrinkAndPerturb {
    try ShrinkAndPerturb(
      shrink: learningRate, noise: .fixed(amplitude: 0.1, low: 0, high: 1), every: interval)
  }

  /// Noise of mean 0 that keeps the variance of each weight's initialiser.
  public static func recommended(
    shrink: Float, every interval: Int = 1
  ) throws(TensorError) -> ShrinkAndPerturb {
    try ShrinkAndPerturb(shrink: shrink, noise: .matchesInitializer, every: interval)
  }

  /// Applies it where `step`, counted from 0, completes an interval: after steps interval - 1,
  /// 2 * interval - 1, ….
  ///
  /// - Returns: whether it did.
  @discardableResult
  public func apply(to model: Model, step: UInt64) throws(TensorError) -> Bool {
    guard (step &+ 1) % interval == 0 else { return false }
    try change(model, position: step, phase: .training)
    return true
  }

  /// Applies it `times` times in a row to fresh weights.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for a negative count.
  public func initialize(_ model: Model, times: Int = 1) throws(TensorError) {
    guard times >= 0 else {
      throw .shape(
        ShapeError("shrink and perturb", requires: "a count of at least 0", gotText: "\(times)"))
    }
    for time in 0..<times { try change(model, position: UInt64(time), phase: .initialization) }
  }

  /// The amplitude of the noise of one parameter, which is multiplied by the bounds.
  func bounds(for parameter: Parameter) -> (low: Float, high: Float) {
    switch noise {
    case .fixed(let amplitude, let low, let high):
      let (first, last) = (amplitude * low, amplitude * high)
      return (min(first, last), max(first, last))
    case .matchesInitializer:
      func deviation(_ initializer: Initializer) -> Double {
        initializer.expectedDeviation(
          shape: parameter.shape, fanIn: parameter.fanIn, fanOut: parameter.fanOut)
      }
      let own = deviation(parameter.initializer)
      let wanted = own > 0 ? own : deviation(.glorotUniform)
      let keep = 1 - Double(shrink) * Double(shrink)
      let amplitude = Float((3 * keep).squareRoot() * wanted)
      return (-amplitude, amplitude)
    }
  }

  /// Sequences of noise that no other noise uses: their indices have the top bit set.
  private enum Phase: Int {
    case training = 0x80_0000
    case initialization = 0xC0_0000
  }

  private func change(
    _ model: Model, position: UInt64, phase: Phase
  ) throws(TensorError) {
    let chosen = model.parameters.filter { $0.isFreeWeight && $0.decays }
    guard let largest = chosen.map(\.shape.count).max() else { return }
    let backend = model.device.backend
    try onDevice { () throws(DeviceError) in
      let scratch = try backend.allocate([largest], .float32)
      for parameter in chosen {
        guard let values = parameter.tensor?.value else { continue }
        let noise = scratch.view(offset: 0, shape: parameter.shape)
        let (low, high) = bounds(for: parameter)
        let key = RandomKey(
          seed: model.seed, .noise, index: phase.rawValue | parameter.index, step: position)
        try backend.randomUniform(key, low: low, high: high, into: noise)
        try backend.pointwise(.constant(shrink) * .x + .y, [values, noise], into: values)
      }
    }
  }
}
