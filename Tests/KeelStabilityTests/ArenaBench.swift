import KeelBackend

/// A small arena on a device, one optimizer, and the decision of each step made by hand.
struct ArenaBench {
  let backend: any Backend
  let parameters: NDArray
  let gradients: NDArray
  let moments: [NDArray]
  let scales: NDArray
  let decision: NDArray
  let update: OptimizerUpdate
  let count: Int
  /// The number of the next update, from 0.
  var updates = 0

  init(
    _ device: Device, _ rule: OptimizerRule, _ values: [Float], weightDecay: Float = 0,
    scales: [Float]? = nil
  ) throws {
    backend = device.backend
    count = values.count
    let blocks = (count + ArenaBlock.count - 1) / ArenaBlock.count
    let total = blocks * ArenaBlock.count
    parameters = try backend.array(values + zeros(total - count), shape: [total])
    gradients = try backend.array(zeros(total), shape: [total])
    moments = try (0..<rule.momentCount).map { [backend] _ in
      try backend.array(zeros(total), shape: [total])
    }
    let pairs = scales ?? [Float](repeating: 1, count: 2 * blocks)
    self.scales = try backend.array(pairs, shape: [blocks, 2])
    decision = try backend.array(zeros(DecisionField.count), shape: [DecisionField.count])
    update = OptimizerUpdate(rule: rule, weightDecay: weightDecay, decouplesDecay: false)
  }

  /// Writes a decision: it applies unless told otherwise, and its coefficient is 1.
  func decide(_ fields: [DecisionField: Float]) throws {
    var values = zeros(DecisionField.count)
    values[DecisionField.applies.rawValue] = 1
    values[DecisionField.coefficient.rawValue] = 1
    values[DecisionField.factor.rawValue] = 1
    values[DecisionField.updates.rawValue] = Float(updates)
    for (field, value) in fields { values[field.rawValue] = value }
    try backend.upload(values, to: decision)
  }

  func read(_ field: DecisionField) throws -> Float {
    try backend.scalars(decision, as: Float.self)[field.rawValue]
  }

  func setGradient(_ g: [Float]) throws {
    try backend.upload(g + zeros(gradients.count - g.count), to: gradients)
  }

  /// One update with the given gradient.
  mutating func step(_ g: [Float], rate: Float) throws {
    try setGradient(g)
    try decide([.learningRate: rate])
    try takeStep()
  }

  /// One update with the gradient and the decision as they are.
  mutating func takeStep() throws {
    try backend.optimizerStep(
      update, parameters: parameters, gradients: gradients, moments: moments, scales: scales,
      decision: decision)
    updates += 1
  }

  func values() throws -> [Float] { try Array(backend.scalars(parameters).prefix(count)) }
}

func zeros(_ count: Int) -> [Float] { [Float](repeating: 0, count: count) }

/// Reproducible numbers in low ..< high.
func numbers(_ count: Int, _ low: Float = -2, _ high: Float = 2, seed: UInt64 = 1) -> [Float] {
  var random = RandomSequence(RandomKey(seed: seed, .user))
  return (0..<count).map { _ in low + (high - low) * random.nextUniform() }
}

/// The bits of numbers: equal also for NaN and -0.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }
