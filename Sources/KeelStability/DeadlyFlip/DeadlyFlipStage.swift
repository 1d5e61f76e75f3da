package import KeelBackend
package import KeelNN

/// A ``DeadlyFlip`` at work during training.
///
/// The parameters before a step that is looked at are kept on the device; the host reads them and
/// those after it at every `period`-th step only.
public final class DeadlyFlipStage {
  /// One exchange.
  public struct Flip: Hashable, Sendable, Codable {
    /// The step after which it was.
    public let step: UInt64
    /// The layer, or the first of those that share the units.
    public let layer: String
    /// The numbers of the two among the units that the layer's can be exchanged with.
    public let volatileUnit: Int, calmUnit: Int
    /// Their relative changes.
    public let volatileChange: Double, calmChange: Double
  }

  /// How often what happened, each counted per layer and look.
  public struct Counters: Hashable, Sendable, Codable {
    /// Layers looked at.
    public var looks = 0
    /// Exchanges.
    public var flips = 0
    /// No unit was volatile, or none calm.
    public var withinThresholds = 0
    /// The layer still rested.
    public var resting = 0
    /// The random number said no.
    public var notDrawn = 0
  }

  /// What a checkpoint keeps.
  package struct State: Hashable, Sendable, Codable {
    package var counters = Counters()
    /// The step of the last exchange, by the number of the group of units.
    package var lastFlips: [Int: UInt64] = [:]
  }

  /// The rule.
  public let flip: DeadlyFlip
  /// How often what happened so far.
  public var counters: Counters { state.counters }
  /// The exchanges after the last step looked at.
  public private(set) var latest: [Flip] = []
  package var state = State()

  private var snapshot: NDArray?
  private var snapshotStep: UInt64?

  /// A stage that has seen nothing yet.
  public init(_ flip: DeadlyFlip) { self.flip = flip }

  /// To be called before training goes on after `step` updates: keeps the parameters if the next
  /// step is looked at.
  package func trainingBegins(model: Model, step: UInt64) throws(TensorError) {
    guard (step &+ 1) % UInt64(flip.period) == 0 else { return }
    let (backend, parameters) = (model.device.backend, model.arena.parameters)
    let kept = snapshot
    snapshot = try onDevice { () throws(DeviceError) in
      let copy: NDArray
      if let kept { copy = kept } else { copy = try backend.allocate(parameters.shape, .float32) }
      let pattern = StridedPattern(dense: parameters.shape)
      try backend.stridedCopy(
        parameters, pattern, into: copy, pattern, extents: parameters.shape.extents)
      return copy
    }
    snapshotStep = step
  }

  /// Looks, if it is time, after a step has changed the parameters.
  ///
  /// - Parameters:
  ///   - moments: the optimizer's, parallel to the parameters.
  ///   - step: the number of the step, from 1. A step whose predecessor was not seen is not looked
  ///     at.
  package func stepEnded(
    model: Model, moments: [NDArray], step: UInt64
  ) throws(TensorError) {
    try look(model: model, moments: moments, step: step)
    try trainingBegins(model: model, step: step)
  }

  /// The first half of that: does not keep the parameters for the next step.
  ///
  /// - Parameter alongside: more arrays parallel to the parameters that go with their units.
  package func look(
    model: Model, moments: [NDArray], step: UInt64, alongside: [NDArray] = []
  ) throws(TensorError) {
    if step % UInt64(flip.period) == 0, let snapshot, snapshotStep.map({ $0 &+ 1 }) == step {
      let backend = model.device.backend
      let (before, after) = try onDevice { () throws(DeviceError) -> ([Float], [Float]) in
        (try backend.scalars(snapshot), try backend.scalars(model.arena.parameters))
      }
      try look(model, moments, alongside, before, after, step)
    }
  }

  private func look(
    _ model: Model, _ moments: [NDArray], _ alongside: [NDArray], _ before: [Float],
    _ after: [Float], _ step: UInt64
  ) throws(TensorError) {
    let units = HiddenUnits(model, .permutation)
    let changes = UnitChanges(units, model, before, after)
    var pairs: [UnitPair] = []
    var flips: [Flip] = []
    var next = state
    for (number, group) in units.interchangeable().enumerated() {
      next.counters.looks += 1
      guard let (first, second) = extremes(of: group.units, changes) else {
        next.counters.withinThresholds += 1
        continue
      }
      if let last = next.lastFlips[number], step &- last <= UInt64(flip.cooldown) {
        next.counters.resting += 1
        continue
      }
      var random = RandomSequence(
        RandomKey(seed: model.seed, .flip, index: number, step: step))
      guard Double(random.nextWord()) * 0x1p-32 < flip.probability else {
        next.counters.notDrawn += 1
        continue
      }
      next.counters.flips += 1
      next.lastFlips[number] = step
      let pair = UnitPair(volatile: group.units[first], calm: group.units[second])
      pairs.append(pair)
      flips.append(
        Flip(
          step: step, layer: group.layers[0], volatileUnit: first, calmUnit: second,
          volatileChange: changes[pair.volatile], calmChange: changes[pair.calm]))
    }
    if !pairs.isEmpty {
      var exchange = UnitExchange(model, units, flip)
      try exchange.run(
        pairs, moments: moments, alongside: alongside, parameters: after)
    }
    state = next
    latest = flips
  }

  /// The places of the most volatile and the calmest of these units, if they are beyond the
  /// thresholds; of equals the first. Changes that are not finite are a fault, not volatility:
  /// then nil.
  private func extremes(of units: [Int], _ changes: UnitChanges) -> (Int, Int)? {
    let values = units.map { changes[$0] }
    guard values.allSatisfy(\.isFinite), var high = values.indices.first else { return nil }
    var low = high
    for place in values.indices {
      if values[place] > values[high] { high = place }
      if values[place] < values[low] { low = place }
    }
    guard values[high] > flip.volatile, values[low] < flip.calm else { return nil }
    return (high, low)
  }
}

/// The relative change of the incoming weights and biases of each unit.
struct UnitChanges {
  private var ratios: [Double]

  subscript(unit: Int) -> Double { ratios[unit] }

  init(_ units: HiddenUnits, _ model: Model, _ before: [Float], _ after: [Float]) {
    var moved = [Double](repeating: 0, count: units.count + 1)
    var sizes = moved
    for site in units.sites where site.role == .weight || site.role == .bias {
      guard case .parameter(let number) = site.place,
        let first = model.parameters[number].place?.offset
      else { continue }
      for element in 0..<(site.taps * site.rows * site.columns) {
        let unit = site.outputs[element % site.columns]
        let old = Double(before[first + element])
        let change = Double(after[first + element]) - old
        moved[unit] += change * change
        sizes[unit] += old * old
      }
    }
    ratios = zip(moved, sizes).map { $0.squareRoot() / ($1.squareRoot() + 1e-12) }
  }
}
