import KeelAutograd
import KeelBackend

/// Gradients of some tensors on a device, and all that a step has around them.
struct GradientBench {
  let backend: any Backend
  let places: [(offset: Int, count: Int)]
  let total: Int
  let g: NDArray
  let table: TelescopeTable
  let reading: TelescopeReading
  let decision: NDArray
  let counters: NDArray
  let coefficients: NDArray
  let schedule: NDArray

  /// Gradients of 0 in tensors of so many elements.
  init(_ device: Device, _ counts: [Int]) throws {
    backend = device.backend
    var (places, end) = ([(offset: Int, count: Int)](), 0)
    for count in counts {
      places.append((end, count))
      end += (count + ArenaBlock.count - 1) / ArenaBlock.count * ArenaBlock.count
    }
    (self.places, total) = (places, end)
    g = try backend.allocate([end], .float32)
    try backend.fill(g, with: 0)
    table = try TelescopeTable(places, on: backend)
    reading = try TelescopeReading(tensors: counts.count, on: backend)
    decision = try backend.array(
      [Float](repeating: 0, count: DecisionField.count), shape: [DecisionField.count])
    counters = try backend.array([0, 0, 0, 0] as [Int32], shape: [CounterField.count])
    coefficients = try backend.array(
      [Float](repeating: 1, count: counts.count), shape: [counts.count])
    schedule = try backend.array([0.1, 1, 1, 0] as [Float], shape: [1, 4])
  }

  /// Writes the elements of all tensors.
  func set(_ tensors: [[Float]]) throws {
    var numbers = [Float](repeating: 0, count: total)
    for (place, values) in zip(places, tensors) {
      numbers.replaceSubrange(place.offset..<place.offset + place.count, with: values)
    }
    try backend.upload(numbers, to: g)
  }

  /// The elements of all tensors.
  func tensors() throws -> [[Float]] {
    let numbers: [Float] = try backend.scalars(g)
    return places.map { Array(numbers[$0.offset..<$0.offset + $0.count]) }
  }

  func bits() throws -> [UInt32] { try (backend.scalars(g) as [Float]).map(\.bitPattern) }

  func measure(wantsHistogram: Bool = false) throws {
    try backend.gradientTelescope(g, table, wantsHistogram: wantsHistogram, into: reading)
  }

  /// Measures and decides.
  func begin(_ rule: FaultRule = FaultRule(.skip, maximumSkips: 3), loss: NDArray? = nil) throws {
    try measure()
    try backend.beginStep(
      reading, loss: loss, right: nil, schedule: schedule, firstUpdate: 0, rule,
      counters: counters, into: decision)
  }

  /// Limits the gradients by a rule that is not the last of its chain.
  func clip(_ rule: ClipRule, state: NDArray? = nil) throws {
    try backend.clipCoefficients(
      rule, reading, isLast: false, state: state, decision: decision, into: coefficients)
    try backend.scaleGradients(g, table, coefficients: coefficients, decision: decision)
  }

  /// The state of a rule before its first update.
  func state(_ rule: ClipRule) throws -> NDArray {
    let count = rule.stateCount(tensors: places.count)
    return try backend.array([Float](repeating: 0, count: count), shape: [count])
  }

  /// One update whose gradients are tensors of equal elements with the given norms.
  func update(_ norms: [Float], _ rule: ClipRule, _ state: NDArray) throws {
    try set(
      zip(places, norms).map { place, norm in
        [norm] + [Float](repeating: 0, count: place.count - 1)
      })
    try begin()
    try clip(rule, state: state)
  }

  func field(_ field: DecisionField) throws -> Float {
    (try backend.scalars(decision) as [Float])[field.rawValue]
  }
  func norms() throws -> [Float] {
    let statistics: [Float] = try backend.scalars(reading.statistics)
    return stride(from: 0, to: statistics.count, by: 2).map { statistics[$0] }
  }
  func summary() throws -> [Float] { try backend.scalars(reading.summary) }
  func faults() throws -> [Int32] { try backend.scalars(reading.faults) }
  func counts() throws -> [Int32] { try backend.scalars(reading.counts) }
}

/// The Euclidean norm in Double.
func plainNorm(_ values: [Float]) -> Double {
  values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
}

/// Whether a number is within so many units in the last place of the truth.
func isWithin(_ ulps: Double, _ value: Float, _ truth: Double) -> Bool {
  abs(Double(value) - truth) <= ulps * Double(Float(truth).ulp)
}

/// Numbers in -1 ..< 1 that look random and are always the same.
func wave(_ count: Int, _ seed: UInt64) -> [Float] {
  var random = RandomSequence(RandomKey(seed: seed, .user))
  return (0..<count).map { _ in 2 * random.nextUniform() - 1 }
}
