package import KeelBackend

extension OpenCLBackend: StepControlBackend {
  package func beginStep(
    _ reading: TelescopeReading, loss: NDArray?, right: NDArray?, schedule: NDArray,
    firstUpdate: UInt64, _ rule: FaultRule, counters: NDArray, into decision: NDArray
  ) throws(DeviceError) {
    try launch(
      "step_control", from: .stepControl, grid: .items(1, local: 1), reading.summary,
      reading.faults, loss, right, schedule, counters, decision, UInt32(schedule.count / 4),
      UInt32(rule.action.rawValue), UInt32(clamping: rule.maximumSkips), firstUpdate, UInt32(0),
      Float(0))
  }

  package func beginStep(
    scanning g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, _ start: StepStart,
    limit: ClipRule?, into reading: TelescopeReading, decision: NDArray
  ) throws(DeviceError) {
    let measure: (kind: UInt32, value: Float) =
      switch limit {
      case .globalNorm(let limit): (1, limit)
      case .globalMaxAbs(let limit): (2, limit)
      case nil: (0, 0)
      default: preconditionFailure("a rule that is more than a limit")
      }
    try scan(
      g, table, wantsHistogram: wantsHistogram, into: reading, start, limit: measure,
      decision: decision)
  }
}
