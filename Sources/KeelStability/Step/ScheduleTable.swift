import KeelBackend
import KeelNN

/// The numbers of the next steps by the count of updates, on the device: the step that is taken
/// picks its row there, so that a skipped step moves no schedule and the host need not know of it.
final class ScheduleTable {
  /// Steps that may be given to the device before the host looks how many were taken.
  static let rows = 1024

  let array: NDArray
  private let backend: any Backend

  init(on backend: any Backend) throws(DeviceError) {
    self.backend = backend
    array = try backend.allocate([ScheduleTable.rows, 4], .float32)
  }

  /// Writes the rows of the updates that come after `first`.
  func write(
    from first: UInt64, optimizer: Optimizer, learningRate: Float, schedule: Schedule,
    noise: NoisePlan?
  ) throws(DeviceError) {
    var values: [Float] = []
    values.reserveCapacity(4 * ScheduleTable.rows)
    for row in 0..<UInt64(ScheduleTable.rows) {
      let (before, isOver) = first.addingReportingOverflow(row)
      let updates = isOver ? .max : before
      values.append(Float(Double(learningRate) * schedule.factor(at: updates)))
      let (beta1, beta2) = optimizer.rule.decays
      let number = updates == .max ? updates : updates + 1
      values.append(OptimizerUpdate.biasCorrection(beta1, step: number))
      values.append(OptimizerUpdate.biasCorrection(beta2, step: number))
      values.append(noise?.amplitude(after: updates) ?? 0)
    }
    try backend.upload(values, to: array)
  }
}

extension OptimizerRule {
  /// The decay of both moments; 0 where there is none, which makes the corrections 1.
  fileprivate var decays: (Float, Float) {
    if case .adam(let beta1, let beta2, _) = self { (beta1, beta2) } else { (0, 0) }
  }
}
