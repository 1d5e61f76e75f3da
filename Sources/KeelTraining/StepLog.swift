import KeelAutograd
import KeelBackend

/// Losses, counts and norms of steps, kept on the device until somebody wants to see them.
///
/// Row r holds loss, right answers, norm and coefficient of micro-batch r since the last read. So
/// a step needs no read, and a read brings all of them at once.
final class StepLog {
  /// One micro-batch that was given to the device.
  struct Row {
    var step: UInt64
    var epoch: Int
    var examples: Int
    /// Whether it was the last one of its step.
    var endsStep: Bool
  }

  private static let capacity = 1024
  private let backend: any Backend
  private let counts: Bool
  private let values: NDArray
  private var rows: [Row] = []

  /// - Parameter counts: whether right answers are counted.
  init(_ device: Device, counts: Bool) throws(TrainingError) {
    backend = device.backend
    self.counts = counts
    let backend = backend
    values = try trainingDevice { () throws(DeviceError) in
      try backend.allocate([StepLog.capacity, 4], .float32)
    }
  }

  /// Whether the next steps need a read first.
  func isFull(before count: Int) -> Bool { rows.count + count > StepLog.capacity }

  /// The most micro-batches that one step may have.
  static var largestStep: Int { capacity }

  /// Copies the values of a micro-batch into its row.
  func record(_ row: Row, loss: Tensor, right: Tensor?, norm: NDArray?) throws(TrainingError) {
    let start = rows.count * 4
    try trainingDevice { () throws(DeviceError) in
      try copy(loss.value, count: 1, to: start)
      if let right { try copy(right.value, count: 1, to: start + 1) }
      if let norm { try copy(norm, count: 2, to: start + 2) }
    }
    rows.append(row)
  }

  private func copy(_ source: NDArray, count: Int, to offset: Int) throws(DeviceError) {
    try backend.stridedCopy(
      source, StridedPattern(strides: [1]), into: values,
      StridedPattern(offset: offset, strides: [1]), extents: [count])
  }

  /// The steps since the last read. Waits for the device.
  func read() throws(TrainingError) -> [StepRecord] {
    guard !rows.isEmpty else { return [] }
    let used = values.view(offset: 0, shape: [rows.count * 4])
    let backend = backend
    let numbers: [Float] = try trainingDevice { () throws(DeviceError) in
      try backend.scalars(used)
    }
    var records: [StepRecord] = []
    var (loss, right, examples) = (0.0, 0.0, 0)
    for (place, row) in rows.enumerated() {
      loss += Double(numbers[4 * place]) * Double(row.examples)
      right += Double(numbers[4 * place + 1])
      examples += row.examples
      guard row.endsStep else { continue }
      records.append(
        StepRecord(
          step: row.step, epoch: row.epoch, examples: examples,
          loss: Float(loss / Double(examples)),
          accuracy: counts ? Float(right / Double(examples)) : nil,
          gradientNorm: numbers[4 * place + 2], clipCoefficient: numbers[4 * place + 3]))
      (loss, right, examples) = (0, 0, 0)
    }
    rows = []
    return records
  }
}
