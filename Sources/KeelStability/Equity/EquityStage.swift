import KeelAutograd
public import KeelBackend
package import KeelNN

/// When an ``EquityTransform`` is applied again during training.
///
/// The gradients of one batch are no measure of balance: a unit that one example of the batch just
/// reaches gets a multiplier of hundreds, which the other examples then pay for, and a training
/// with such transforms every few steps explodes. So a stage looks at the root mean square of the
/// gradients over many steps, and only acts where layers are far out of balance.
public struct PeriodicEquity: Hashable, Sendable {
  /// The transform.
  public var transform: EquityTransform
  /// The imbalance from which on a model is transformed.
  public var limit: Double
  /// How many steps lie between two looks.
  public var period: Int
  /// The part of the mean of squared gradients that each step keeps; 0 looks at the gradients of
  /// one step alone.
  public var memory: Double

  /// The memory that stages have unless they are told otherwise: about 100 steps.
  public static let usualMemory = 0.99

  /// Every `period` steps, if the imbalance is above the limit.
  public init(
    _ transform: EquityTransform, ifImbalanceAbove limit: Double = 32, every period: Int = 100,
    memory: Double = PeriodicEquity.usualMemory
  ) {
    self.transform = transform
    self.limit = limit
    self.period = period
    self.memory = memory
  }
}

extension PeriodicEquity: Codable {
  private enum Key: String, CodingKey { case transform, limit, period, memory }

  /// Reads what ``encode(to:)`` wrote; older forms looked at the gradients of one step.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    transform = try values.decode(EquityTransform.self, forKey: .transform)
    limit = try values.decode(Double.self, forKey: .limit)
    period = try values.decode(Int.self, forKey: .period)
    memory = try values.decodeIfPresent(Double.self, forKey: .memory) ?? 0
  }

  /// Writes all options.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(transform, forKey: .transform)
    try values.encode(limit, forKey: .limit)
    try values.encode(period, forKey: .period)
    try values.encode(memory, forKey: .memory)
  }
}

/// Applies an ``EquityTransform`` again during training, whenever the model has come out of
/// balance by more than a limit.
///
/// The host reads, and so waits for, what it looks at at every `period`-th step only; the mean of
/// squared gradients is kept on the device.
public final class EquityStage {
  /// How often it did what.
  public struct Counters: Hashable, Sendable, Codable {
    /// How often it looked.
    public var looks = 0
    /// How often it transformed the model.
    public var applications = 0
    /// The largest exponent, of either sign, of all multipliers that it applied.
    public var largestExponent = 0

    /// Nothing yet.
    public init() {}
  }

  /// The transform.
  public let transform: EquityTransform
  /// The imbalance from which on a model is transformed.
  public let limit: Double
  /// How many steps lie between two looks.
  public let period: Int
  /// The part of the mean of squared gradients that each step keeps.
  public let memory: Double
  /// How often it looked.
  public var looks: Int { counters.looks }
  /// How often it transformed the model.
  public var applications: Int { counters.applications }
  /// What it saw or did last.
  public private(set) var lastPlan: EquityPlan?
  package var counters = Counters()
  /// The root mean square of each gradient, parallel to the parameters; nil where it is not used.
  package private(set) var gradientSizes: NDArray?

  /// A stage that looks every `period` steps.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the limit is finite and at least 1, the period at
  ///   least 1, and the memory in 0 ..< 1.
  public init(
    _ transform: EquityTransform, ifImbalanceAbove limit: Double = 32, every period: Int = 100,
    memory: Double = PeriodicEquity.usualMemory
  ) throws(TensorError) {
    func check(_ holds: Bool, _ requirement: String, _ got: String) throws(TensorError) {
      guard holds else {
        throw .shape(ShapeError("equity", requires: requirement, gotText: got))
      }
    }
    try check(
      limit.isFinite && limit >= 1, "a finite limit of imbalance of at least 1", "\(limit)")
    try check(period >= 1, "a period of at least 1 step", "\(period)")
    try check(memory >= 0 && memory < 1, "a memory in 0 ..< 1", "\(memory)")
    self.transform = transform
    self.limit = limit
    self.period = period
    self.memory = memory
  }

  /// Makes room for what is remembered of a model's gradients, if something is.
  package func prepare(for model: Model) throws(TensorError) {
    guard memory > 0, transform.choice == .gradientBalancing, gradientSizes == nil else { return }
    gradientSizes = try model.arena.makeMoments(1).first
  }

  /// Remembers the gradients of a step, and looks at the balance if it is time.
  ///
  /// - Parameters:
  ///   - moments: the optimizer's, parallel to the parameters; they are carried along.
  ///   - step: the number of the step, from 1.
  /// - Throws: as ``EquityTransform/apply(to:ifImbalanceAbove:)``. Gradients that are not finite or
  ///   all 0 say nothing about balance: then nothing is done.
  package func stepEnded(
    model: Model, moments: [NDArray], step: UInt64
  ) throws(TensorError) {
    try prepare(for: model)
    try remember(model)
    if isDue(step) { try look(model, moments: moments) }
  }

  /// Whether a step, from 1, is one to look after.
  func isDue(_ step: UInt64) -> Bool { step % UInt64(period) == 0 }

  /// Adds the gradients of a step to what is remembered.
  ///
  /// - Parameter applies: 1 where the step counts, or nil if it does.
  package func remember(_ model: Model, where applies: NDArray? = nil) throws(TensorError) {
    try gradientSizes?.remember(
      model.arena.gradients, keeping: memory, where: applies, on: model.device.backend)
  }

  /// Transforms the model if it is out of balance.
  package func look(_ model: Model, moments: [NDArray]) throws(TensorError) {
    counters.looks += 1
    let values = try transform.values(of: model, gradientSizes: gradientSizes)
    guard transform.complaint(about: values, model) == nil else { return }
    let plan = try transform.carryOut(
      try transform.plan(for: model, values), on: model, moments: moments,
      gradientSizes: gradientSizes, limit: limit)
    if plan.isApplied {
      counters.applications += 1
      let largest = plan.exponents.map(\.magnitude).max() ?? 0
      counters.largestExponent = max(counters.largestExponent, Int(largest))
    }
    lastPlan = plan
  }
}

extension NDArray {
  /// s = sqrt(memory * s^2 + (1 - memory) * g^2), scaled by the larger of both so that no square
  /// over- or underflows; a gradient that is not finite is left out.
  func remember(
    _ gradients: NDArray, keeping memory: Double, where applies: NDArray? = nil,
    on backend: any Backend
  ) throws(TensorError) {
    let (g, s) = (Expression.x.abs(), Expression.y)
    let largest = g.maximum(s)
    let (own, past) = (g / largest, s / largest)
    let mean = .constant(Float(1 - memory)) * own * own + .constant(Float(memory)) * past * past
    let next = (g <= .constant(.greatestFiniteMagnitude)).select(
      (largest > 0).select(largest * mean.sqrt(), 0), s)
    try onDevice { () throws(DeviceError) in
      if let applies {
        try backend.pointwise(
          (.z > 0).select(next, s), [gradients, self, applies], into: self)
      } else {
        try backend.pointwise(next, [gradients, self], into: self)
      }
    }
  }
}
