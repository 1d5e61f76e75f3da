public import KeelAutograd
public import KeelBackend
public import KeelNN

/// An optimizer at work on a model: its moments, its step count, and the step itself.
///
/// ```swift
/// let updater = try Updater(.adam(), for: model, stability: Stability(clip: [.globalNorm(1)]))
/// let loss = try model.valueAndGradient { pass throws(TensorError) in
///   try Loss.softmaxCrossEntropy()(model(images, pass), labels)
/// }
/// try updater.update(loss: loss)
/// print(try updater.report().outcome)  // applied, clipped, skipped …
/// ```
///
/// A step waits for nothing: whether it is taken, by which factor gradients are clipped and which
/// learning rate holds is decided on the device.
public final class Updater {
  /// The optimizer.
  public let optimizer: Optimizer
  /// How the learning rate moves; it counts updates, not steps that were left out.
  public let schedule: Schedule
  /// What a step does besides the optimizer's rule.
  public let stability: Stability
  /// What the schedule multiplies; at first the optimizer's. Setting it waits for the device: a
  /// rate that follows a plan belongs into a ``Schedule``.
  public var learningRate: Float {
    didSet { if learningRate != oldValue { isTableStale = true } }
  }
  /// How many steps there were, those that were left out included.
  public private(set) var step: UInt64 = 0

  /// The stages, and all that they keep.
  package let pipeline: StepPipeline
  /// The state of the optimizer's rule, each as large as the parameters.
  package var moments: [NDArray] { pipeline.moments }
  /// What acts on the parameters between steps.
  public let techniques: StepTechniques
  private let table: ScheduleTable
  private let backend: any Backend
  /// Updates before the table's first row.
  private var firstUpdate: UInt64 = 0
  /// Steps since the table was written.
  private var stepsOfTable = 0
  private var isTableStale = true

  /// Starts with moments of zero.
  ///
  /// - Parameter clipGlobalNorm: short for `Stability(clip: [.globalNorm(limit)])`.
  /// - Throws: ``TensorError`` when an option is not usable or memory is short.
  public init(
    _ optimizer: Optimizer, for model: Model, schedule: Schedule = .constant,
    clipGlobalNorm: Float? = nil, stability: Stability = Stability()
  ) throws(TensorError) {
    var stability = stability
    if let limit = clipGlobalNorm {
      guard stability.clip.stages.isEmpty else {
        throw Stability.refusal(
          "clipGlobalNorm", "a clip chain that is empty: add .globalNorm(\(limit)) to it instead",
          "\(stability.clip)")
      }
      stability.clip = [.globalNorm(limit)]
    }
    try optimizer.validate()
    try schedule.validate()
    try stability.validate(with: optimizer)
    self.optimizer = optimizer
    self.schedule = schedule
    self.stability = stability
    learningRate = optimizer.learningRate
    backend = model.device.backend
    pipeline = try StepPipeline(optimizer, stability, for: model)
    techniques = try StepTechniques(stability, model)
    let backend = backend
    table = try onDevice { () throws(DeviceError) in try ScheduleTable(on: backend) }
  }

  /// Takes a step with the gradients of the last backward pass. Nothing is read by the host, but
  /// once in 1024 steps.
  ///
  /// - Parameter loss: the loss that the gradients are of; a step whose loss is not finite is left
  ///   out.
  /// - Throws: ``TensorError`` when the device fails, or the loss is not a scalar.
  public func update(loss: Tensor? = nil) throws(TensorError) {
    try update(loss: loss, wantsHistogram: false)
  }

  /// - Parameters:
  ///   - right: how many answers were right, a float32 scalar: for the report alone.
  ///   - wantsHistogram: whether the exponents of all gradients are counted too.
  ///   - captured: repeats the step where it can; the loss and the count must then be lasting ones
  ///     of it, made together.
  package func update(
    loss: Tensor?, right: Tensor? = nil, wantsHistogram: Bool, captured: CapturedStep? = nil
  ) throws(TensorError) {
    if let loss, loss.shape.count != 1 || loss.dtype != .float32 {
      throw Stability.refusal("update", "a loss of one float32 element", "\(loss)")
    }
    if isTableStale || stepsOfTable == ScheduleTable.rows { try writeTable() }
    try techniques.stepBegins(model: pipeline.model, step: step)
    let stages = { [self] () throws(TensorError) in
      try pipeline.run(
        loss: loss, right: right, schedule: table, firstUpdate: firstUpdate, attempt: step,
        wantsHistogram: wantsHistogram)
    }
    if let captured, pipeline.repeatsItself {
      try captured.update(
        loss: loss, wantsHistogram: wantsHistogram, firstUpdate: firstUpdate, number: step, stages)
    } else {
      try stages()
    }
    step += 1
    stepsOfTable += 1
    try techniques.stepEnded(pipeline, step: step)
  }

  /// How many steps changed the parameters: what schedules and bias corrections count. Waits for
  /// the device.
  public func updates() throws(TensorError) -> UInt64 {
    firstUpdate + UInt64(try counts()[CounterField.row.rawValue])
  }

  /// How many steps were left out, all in all. Waits for the device.
  public func skips() throws(TensorError) -> Int {
    Int(try counts()[CounterField.skips.rawValue])
  }

  /// Whether steps are left out until ``resume()``: because of the policy, or because too many in a
  /// row were. Waits for the device.
  public func isHalted() throws(TensorError) -> Bool {
    try counts()[CounterField.halted.rawValue] != 0
  }

  /// Takes steps again after a halt.
  public func resume() throws(TensorError) {
    var counts = try counts()
    counts[CounterField.halted.rawValue] = 0
    counts[CounterField.skipsInARow.rawValue] = 0
    try write(counts)
  }

  /// What the last step did. Waits for the device.
  public func report() throws(TensorError) -> StepReport {
    let pipeline = pipeline
    let (decision, statistics): ([Float], [Float]) = try onDevice { () throws(DeviceError) in
      (
        try backend.scalars(pipeline.decision),
        try backend.scalars(pipeline.reading.statistics)
      )
    }
    let norms = stride(from: 0, to: statistics.count, by: 2).map { statistics[$0] }
    return StepReport(
      decision: decision[...], tensorNorms: norms[...],
      names: pipeline.model.parameters.map(\.name))
  }

  /// What the last step saw of each parameter's gradient. Waits for the device.
  public func telescope() throws(TensorError) -> [GradientStatistics] {
    let (reading, parameters) = (pipeline.reading, pipeline.model.parameters)
    let (statistics, counts): ([Float], [Int32]) = try onDevice { () throws(DeviceError) in
      (try backend.scalars(reading.statistics), try backend.scalars(reading.counts))
    }
    return parameters.enumerated().map { number, parameter in
      GradientStatistics(
        parameter: parameter.name, count: parameter.shape.count,
        norm: statistics[2 * number], largest: statistics[2 * number + 1],
        nan: Int(counts[4 * number]), positiveInfinity: Int(counts[4 * number + 1]),
        negativeInfinity: Int(counts[4 * number + 2]), zero: Int(counts[4 * number + 3]))
    }
  }

  /// The steps that were left out so far. Waits for the device.
  package func skipCounts() throws(TensorError) -> SkipCounts {
    let counts = try counts()
    return SkipCounts(
      inARow: Int(counts[CounterField.skipsInARow.rawValue]),
      total: Int(counts[CounterField.skips.rawValue]))
  }

  /// Brings the counts to where a checkpoint or a snapshot was made.
  package func restore(
    step: UInt64, updates: UInt64, skips: SkipCounts = SkipCounts()
  ) throws(TensorError) {
    self.step = step
    firstUpdate = updates
    stepsOfTable = 0
    isTableStale = true
    techniques.forgetSnapshot()
    var counts = [Int32](repeating: 0, count: CounterField.count)
    counts[CounterField.skipsInARow.rawValue] = Int32(clamping: skips.inARow)
    counts[CounterField.skips.rawValue] = Int32(clamping: skips.total)
    try write(counts)
  }

  private func writeTable() throws(TensorError) {
    var counts = try counts()
    firstUpdate += UInt64(counts[CounterField.row.rawValue])
    counts[CounterField.row.rawValue] = 0
    try write(counts)
    try onDevice { () throws(DeviceError) in
      try table.write(
        from: firstUpdate, optimizer: optimizer, learningRate: learningRate, schedule: schedule,
        noise: stability.noise)
    }
    (stepsOfTable, isTableStale) = (0, false)
  }

  private func counts() throws(TensorError) -> [Int32] {
    try onDevice { () throws(DeviceError) in try backend.scalars(pipeline.counters) }
  }

  private func write(_ counts: [Int32]) throws(TensorError) {
    try onDevice { () throws(DeviceError) in try backend.upload(counts, to: pipeline.counters) }
  }
}

/// What one step saw of the gradient of one parameter.
public struct GradientStatistics: Hashable, Sendable {
  /// The parameter.
  public var parameter: String
  /// How many elements it has.
  public var count: Int
  /// The norm.
  public var norm: Float
  /// The largest magnitude.
  public var largest: Float
  /// How many elements are NaN.
  public var nan: Int
  /// How many are infinite, above 0.
  public var positiveInfinity: Int
  /// How many are infinite, below 0.
  public var negativeInfinity: Int
  /// How many are 0.
  public var zero: Int
}
