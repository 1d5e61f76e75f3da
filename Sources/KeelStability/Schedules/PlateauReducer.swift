public import KeelBackend

/// Lowers the learning rate when a metric has stopped getting better.
///
/// After every epoch ``observe(_:)`` takes the metric. It is better when it beats the best so far
/// by more than `threshold` times its magnitude. The `patience`-th epoch in a row that is not
/// better multiplies the factor by `factor` (Keras' convention; PyTorch waits one epoch more), but
/// not below `minimum`; then `cooldown` epochs do not count. A value that is not a number is not
/// better.
///
/// A value of plain data: a checkpoint keeps it, and a resumed run goes on as if uninterrupted.
public struct PlateauReducer: Hashable, Sendable, Codable {
  /// What is watched.
  public enum Metric: String, Hashable, Sendable, Codable, CaseIterable {
    /// The mean loss of an epoch; smaller is better.
    case loss
    /// The accuracy of an epoch; larger is better.
    case accuracy
    /// The loss on the validation set; smaller is better.
    case validationLoss = "validation-loss"
    /// The accuracy on the validation set; larger is better.
    case validationAccuracy = "validation-accuracy"

    /// Whether larger values are better.
    public var prefersLarger: Bool { self == .accuracy || self == .validationAccuracy }
  }

  /// What is watched.
  public let metric: Metric
  /// How many epochs in a row must not be better.
  public let patience: Int
  /// What the learning rate is multiplied by.
  public let factor: Double
  /// How many epochs after a reduction do not count.
  public let cooldown: Int
  /// The smallest factor that all reductions together may reach.
  public let minimum: Double
  /// By how much, relative to the best, a value must be better.
  public let threshold: Double

  /// The factor for the optimizer's learning rate now: 1 at first.
  public private(set) var rateFactor = 1.0
  /// The best value so far.
  public private(set) var best: Double?
  /// How often the rate was lowered.
  public private(set) var reductions = 0
  private var waited = 0
  private var cooling = 0

  /// A reducer that has seen nothing yet.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the option that is not usable.
  public init(
    _ metric: Metric = .validationLoss, patience: Int = 10, factor: Double = 0.1,
    cooldown: Int = 0, minimum: Double = 0, threshold: Double = 1e-4
  ) throws(TensorError) {
    func check(_ holds: Bool, _ requirement: String, _ got: String) throws(TensorError) {
      guard holds else {
        throw .shape(ShapeError("plateau", requires: requirement, gotText: got))
      }
    }
    try check(patience >= 1, "a patience of at least 1 epoch", "\(patience)")
    try check(factor > 0 && factor < 1, "a factor above 0 and below 1", "\(factor)")
    try check(cooldown >= 0, "a cooldown of at least 0 epochs", "\(cooldown)")
    try check(minimum >= 0 && minimum < 1, "a minimum in 0 ..< 1", "\(minimum)")
    try check(threshold >= 0 && threshold < 1, "a threshold in 0 ..< 1", "\(threshold)")
    self.metric = metric
    self.patience = patience
    self.factor = factor
    self.cooldown = cooldown
    self.minimum = minimum
    self.threshold = threshold
  }

  /// Reads the text form `plateau:PATIENCE[,FACTOR]`, such as `plateau:5,0.5`.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that gives the form, or names the option that is not
  ///   usable.
  public init(parsing text: String, metric: Metric = .validationLoss) throws(TensorError) {
    let words = text.dropFirst("plateau:".count).split(
      separator: ",", omittingEmptySubsequences: false)
    guard text.hasPrefix("plateau:"), (1...2).contains(words.count),
      let patience = Int(words[0]), let factor = words.count > 1 ? Double(words[1]) : 0.1
    else {
      throw .shape(
        ShapeError(
          "plateau", requires: "the form plateau:PATIENCE[,FACTOR], such as plateau:5,0.5",
          gotText: "'\(text)'"))
    }
    try self.init(metric, patience: patience, factor: factor)
  }

  /// Takes the metric of one more epoch; whether the learning rate was lowered.
  public mutating func observe(_ value: Double) -> Bool {
    if isBetter(value) {
      best = value
      waited = 0
      if cooling > 0 { cooling -= 1 }
      return false
    }
    guard cooling == 0 else {
      cooling -= 1
      waited = 0
      return false
    }
    waited += 1
    guard waited >= patience else { return false }
    waited = 0
    cooling = cooldown
    let lower = max(rateFactor * factor, minimum)
    guard lower < rateFactor else { return false }
    rateFactor = lower
    reductions += 1
    return true
  }

  private func isBetter(_ value: Double) -> Bool {
    guard let best else { return !value.isNaN }
    let margin = threshold * best.magnitude
    // An infinite best has no margin: everything beyond it is better.
    guard margin.isFinite else { return metric.prefersLarger ? value > best : value < best }
    return metric.prefersLarger ? value > best + margin : value < best - margin
  }
}
