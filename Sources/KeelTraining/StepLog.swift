import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

/// Losses, counts, decisions and norms of steps, kept on the device until somebody wants to see
/// them: a step needs no read, and a read brings all of them at once.
final class StepLog {
  /// One micro-batch that was given to the device.
  struct Row {
    var step: UInt64
    var epoch: Int
    /// Its number in the epoch, from 0.
    var batch: Int
    var examples: Int
    /// Whether it was the last one of its step.
    var endsStep: Bool
  }

  /// What was read of one step.
  struct Entry {
    var record: StepRecord
    /// The norm of each parameter's gradient.
    var tensorNorms: [Float]
    /// The batches of the step.
    var batches: [Int]
  }

  private static let capacity = 1024
  private let backend: any Backend
  private let counts: Bool
  private let names: [String]
  /// Loss and right answers of each micro-batch.
  private let values: NDArray
  /// The decision of each step, and the norms of all parameters' gradients.
  private let decisions: NDArray
  private let norms: NDArray
  private var rows: [Row] = []
  private var steps = 0

  /// - Parameter counts: whether right answers are counted.
  init(_ model: Model, counts: Bool) throws(TrainingError) {
    backend = model.device.backend
    self.counts = counts
    names = model.parameters.map(\.name)
    let (backend, tensors) = (backend, max(1, names.count))
    (values, decisions, norms) = try trainingDevice { () throws(DeviceError) in
      (
        try backend.allocate([StepLog.capacity, 2], .float32),
        try backend.allocate([StepLog.capacity, DecisionField.count], .float32),
        try backend.allocate([StepLog.capacity, tensors], .float32)
      )
    }
  }

  /// Whether the next steps need a read first.
  func isFull(before count: Int) -> Bool { rows.count + count > StepLog.capacity }

  /// The most micro-batches that one step may have.
  static var largestStep: Int { capacity }

  /// Copies the values of a micro-batch into its row, and those of the step that it ends.
  func record(
    _ row: Row, loss: Tensor, right: Tensor?, of updater: Updater
  ) throws(TrainingError) {
    let start = rows.count * 2
    try trainingDevice { () throws(DeviceError) in
      try copy(loss.value, count: 1, into: values, at: start)
      if let right { try copy(right.value, count: 1, into: values, at: start + 1) }
      guard row.endsStep else { return }
      let pipeline = updater.pipeline
      try copy(
        pipeline.decision, count: DecisionField.count, into: decisions,
        at: steps * DecisionField.count)
      if !names.isEmpty {
        try copy(
          pipeline.reading.statistics, stride: 2, count: names.count, into: norms,
          at: steps * names.count)
      }
    }
    rows.append(row)
    if row.endsStep { steps += 1 }
  }

  private func copy(
    _ source: NDArray, stride: Int = 1, count: Int, into target: NDArray, at offset: Int
  ) throws(DeviceError) {
    try backend.stridedCopy(
      source, StridedPattern(strides: [stride]), into: target,
      StridedPattern(offset: offset, strides: [1]), extents: [count])
  }

  /// Forgets what was not read.
  func clear() {
    rows = []
    steps = 0
  }

  /// The steps since the last read. Waits for the device.
  func read() throws(TrainingError) -> [Entry] {
    guard !rows.isEmpty else { return [] }
    let numbers = try download(values, rows.count * 2)
    let decisions = try download(decisions, steps * DecisionField.count)
    let norms = try download(norms, steps * names.count)
    var entries: [Entry] = []
    var (loss, right, examples) = (0.0, 0.0, 0)
    var batches: [Int] = []
    for (place, row) in rows.enumerated() {
      loss += Double(numbers[2 * place]) * Double(row.examples)
      right += Double(numbers[2 * place + 1])
      examples += row.examples
      batches.append(row.batch)
      guard row.endsStep else { continue }
      let number = entries.count
      let tensorNorms = norms[(number * names.count)..<((number + 1) * names.count)]
      let report = StepReport(
        decision: decisions[(number * DecisionField.count)...], tensorNorms: tensorNorms,
        names: names)
      let record = StepRecord(
        step: row.step, epoch: row.epoch, examples: examples,
        loss: Float(loss / Double(examples)),
        accuracy: counts ? Float(right / Double(examples)) : nil, report)
      entries.append(
        Entry(record: record, tensorNorms: Array(tensorNorms), batches: batches))
      (loss, right, examples, batches) = (0, 0, 0, [])
    }
    clear()
    return entries
  }

  private func download(_ array: NDArray, _ count: Int) throws(TrainingError) -> [Float] {
    guard count > 0 else { return [] }
    let (used, backend) = (array.view(offset: 0, shape: [count]), backend)
    return try trainingDevice { () throws(DeviceError) in try backend.scalars(used) }
  }
}
