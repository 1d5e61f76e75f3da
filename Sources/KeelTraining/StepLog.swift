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
  /// Loss and right answers of each micro-batch that does not end its step, a row of ``width`` for
  /// each: one formula over both and ``isLoss`` puts them there. The report has those of the last.
  private let values: NDArray
  private let isLoss: NDArray
  private static let width = NDArray.alignment / 4
  /// What each step left behind (``StepPipeline/report``).
  private let reports: NDArray
  private let reportCount: Int
  private var rows: [Row] = []
  private var steps = 0

  /// - Parameter counts: whether right answers are counted.
  init(_ model: Model, counts: Bool) throws(TrainingError) {
    backend = model.device.backend
    self.counts = counts
    names = model.parameters.map(\.name)
    reportCount = StepPipeline.normsOffset + 2 * names.count
    let (backend, reportCount) = (backend, reportCount)
    (values, isLoss, reports) = try trainingDevice { () throws(DeviceError) in
      (
        try backend.allocate([StepLog.capacity, StepLog.width], .float32),
        try backend.array([1, 0] as [Float], shape: [2]),
        try backend.allocate([StepLog.capacity, reportCount], .float32)
      )
    }
  }

  /// Bytes on the device for the log of a model with so many parameters.
  static func byteCount(parameters: Int) -> Int {
    4 * capacity * (width + StepPipeline.normsOffset + 2 * parameters)
  }

  /// Whether the next steps need a read first.
  func isFull(before count: Int) -> Bool { rows.count + count > StepLog.capacity }

  /// The most micro-batches that one step may have.
  static var largestStep: Int { capacity }

  /// Copies the values of a micro-batch into its row; of the one that ends a step, the report that
  /// the step has left, which has them too.
  func record(
    _ row: Row, loss: Tensor, right: Tensor?, of updater: Updater
  ) throws(TrainingError) {
    try trainingDevice { () throws(DeviceError) in
      guard row.endsStep else {
        let place = values.view(offset: rows.count * StepLog.width, shape: [2])
        return try backend.pointwise(
          Expression.z.select(.x, .y), [loss.value, (right ?? loss).value, isLoss], into: place)
      }
      try backend.stridedCopy(
        updater.pipeline.report, StridedPattern(strides: [1]), into: reports,
        StridedPattern(offset: steps * reportCount, strides: [1]), extents: [reportCount])
    }
    rows.append(row)
    if row.endsStep { steps += 1 }
  }

  /// Forgets what was not read.
  func clear() {
    rows = []
    steps = 0
  }

  /// The steps since the last read. Waits for the device.
  func read() throws(TrainingError) -> [Entry] {
    guard !rows.isEmpty else { return [] }
    let isSplit = rows.contains { !$0.endsStep }
    let numbers = isSplit ? try download(values, rows.count * StepLog.width) : []
    let reports = try download(reports, steps * reportCount)
    var entries: [Entry] = []
    var (loss, right, examples) = (0.0, 0.0, 0)
    var batches: [Int] = []
    for (place, row) in rows.enumerated() {
      let start = entries.count * reportCount
      let (own, count) =
        row.endsStep
        ? (
          reports[start + DecisionField.loss.rawValue],
          reports[start + DecisionField.right.rawValue]
        ) : (numbers[StepLog.width * place], numbers[StepLog.width * place + 1])
      loss += Double(own) * Double(row.examples)
      right += Double(count)
      examples += row.examples
      batches.append(row.batch)
      guard row.endsStep else { continue }
      let tensorNorms = names.indices.map { reports[start + StepPipeline.normsOffset + 2 * $0] }
      let report = StepReport(
        decision: reports[start...], tensorNorms: tensorNorms[...], names: names)
      let record = StepRecord(
        step: row.step, epoch: row.epoch, examples: examples,
        loss: Float(loss / Double(examples)),
        accuracy: counts ? Float(right / Double(examples)) : nil, report)
      entries.append(
        Entry(record: record, tensorNorms: tensorNorms, batches: batches))
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
