public import KeelBackend
public import KeelNN

/// Exchanges two neurons of a layer when one changes a lot in a step while another is calm.
///
/// For each hidden unit i with incoming weights and bias p_i, r_i = |Δp_i| / (|p_i| + ε) is its
/// relative change in one step. Of each layer the most volatile unit and the calmest are exchanged
/// if r of the first is above `volatile`, r of the second below `calm`, the layer's cooldown is
/// over, and a random number is below `probability`.
///
/// No such method is published; this is a definition with exact properties. Exchanging everything
/// (``Mode/permutation``) is a symmetry of networks (Hecht-Nielsen, 1990): loss and gradient norm
/// stay, so it cannot reduce an explosion. Exchanging only what comes in (``Mode/incoming``)
/// changes the function: a random perturbation of structure, which can break a runaway unit of a
/// wide layer under plain gradient descent and hurts late in training.
///
/// With probability 0 training is the same, bit for bit, as without it.
public struct DeadlyFlip: Hashable, Sendable, Codable {
  /// What is exchanged.
  public enum Mode: String, Hashable, Sendable, Codable, CaseIterable {
    /// Everything of both units, with the optimizer's moments: the function stays.
    case permutation
    /// Everything of both units but the moments: the function stays, and each unit goes on with
    /// the momentum of the other. ``Moments`` says what the volatile one gets.
    case stateSwap = "state-swap"
    /// Incoming weights, bias and normalisation only: the function changes.
    case incoming
  }

  /// What becomes of the optimizer's moments.
  public enum Moments: String, Hashable, Sendable, Codable, CaseIterable {
    /// They go with their numbers.
    case travel
    /// They stay in place. Under SGD the volatile unit is damped by a calm momentum; under Adam it
    /// gets a small v, which makes its steps larger.
    case stay
    /// They stay in place, but those at the volatile unit's new place become 0.
    case reset
  }

  /// What is exchanged.
  public let mode: Mode
  /// What becomes of the optimizer's moments.
  public let moments: Moments
  /// The relative change above which a unit is volatile.
  public let volatile: Double
  /// The relative change below which a unit is calm.
  public let calm: Double
  /// How likely an exchange is where all else holds.
  public let probability: Double
  /// How many steps lie between two looks.
  public let period: Int
  /// How many steps a layer rests after an exchange.
  public let cooldown: Int

  /// The rule; by default a unit that changes by a tenth in one step, and one that changes by less
  /// than a hundredth, are exchanged.
  ///
  /// - Parameter moments: by default `.travel` for `.permutation`, `.reset` for `.stateSwap` and
  ///   `.stay` for `.incoming`.
  /// - Throws: ``TensorError/shape(_:)`` that names the option that is not usable.
  public init(
    _ mode: Mode = .incoming, moments: Moments? = nil, volatile: Double = 0.1,
    calm: Double = 0.01, probability: Double = 1, period: Int = 10, cooldown: Int = 10
  ) throws(TensorError) {
    func check(_ holds: Bool, _ requirement: String, _ got: String) throws(TensorError) {
      guard holds else {
        throw .shape(ShapeError("deadly flip", requires: requirement, gotText: got))
      }
    }
    try check(
      volatile.isFinite && volatile > 0, "a finite threshold above 0 for volatile units",
      "\(volatile)")
    try check(
      calm > 0 && calm < volatile,
      "a threshold above 0 for calm units, below that of volatile ones (\(volatile))", "\(calm)")
    try check(probability >= 0 && probability <= 1, "a probability in 0 ... 1", "\(probability)")
    try check(period >= 1, "a period of at least 1 step", "\(period)")
    try check(cooldown >= 0, "a cooldown of at least 0 steps", "\(cooldown)")
    let usual: Moments =
      switch mode {
      case .permutation: .travel
      case .stateSwap: .reset
      case .incoming: .stay
      }
    let moments = moments ?? usual
    try check(
      mode != .permutation || moments == .travel,
      "moments that travel in a permutation: without them it is a state swap", moments.rawValue)
    try check(
      mode != .stateSwap || moments != .travel,
      "moments that stay or are reset in a state swap: with them it is a permutation",
      moments.rawValue)
    self.mode = mode
    self.moments = moments
    self.volatile = volatile
    self.calm = calm
    self.probability = probability
    self.period = period
    self.cooldown = cooldown
  }

  /// Exchanges two units of a layer, whatever their changes.
  ///
  /// - Parameters:
  ///   - first, second: numbers of units, in the order of the layer's output; the first is taken
  ///     to be the volatile one.
  ///   - layer: the layer's path, such as `dense1`.
  /// - Throws: ``TensorError/shape(_:)`` when there is no such unit, or the two cannot be
  /// exchanged;
  ///   the model is then as it was.
  public func exchange(
    _ first: Int, _ second: Int, in layer: String, of model: Model
  ) throws(TensorError) {
    try exchange(first, second, in: layer, of: model, moments: [])
  }

  package func exchange(
    _ first: Int, _ second: Int, in layer: String, of model: Model, moments: [NDArray]
  ) throws(TensorError) {
    let units = HiddenUnits(model, .permutation)
    guard let bank = units.banks.first(where: { $0.layer == layer }) else {
      let known = units.banks.map(\.layer).joined(separator: ", ")
      throw .shape(
        ShapeError(
          "deadly flip", requires: "the path of a layer with units of its own: \(known)",
          gotText: layer))
    }
    let numbers = bank.units.indices
    guard numbers.contains(first), numbers.contains(second), first != second else {
      throw .shape(
        ShapeError(
          bank.title, requires: "two different units of \(bank.units.count)",
          gotText: "\(first) and \(second)"))
    }
    let pair = UnitPair(volatile: bank.units[first], calm: bank.units[second])
    let groups = units.interchangeable()
    guard
      groups.contains(where: { $0.units.contains(pair.volatile) && $0.units.contains(pair.calm) })
    else {
      let reasons = [pair.volatile, pair.calm].map { unit in
        unit == 0 ? "an output of the network" : units.obstacles[unit]?.reason ?? "tied to others"
      }
      throw .shape(
        ShapeError(
          bank.title, requires: "units that can be exchanged",
          gotText: reasons.first { $0 != "tied to others" } ?? "units that are tied to others"))
    }
    var exchange = UnitExchange(model, units, self)
    try exchange.run([pair], moments: moments)
  }
}
