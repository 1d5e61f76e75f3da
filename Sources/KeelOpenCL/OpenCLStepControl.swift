package import KeelBackend

extension OpenCLBackend: StepControlBackend {
  package func beginStep(
    _ reading: TelescopeReading, loss: NDArray?, schedule: NDArray, firstUpdate: UInt64,
    _ rule: FaultRule, counters: NDArray, into decision: NDArray
  ) throws(DeviceError) {
    try launch(
      "step_control", from: .stepControl, grid: .items(1, local: 1), reading.summary,
      reading.faults, loss, schedule, counters, decision, UInt32(schedule.count / 4),
      UInt32(rule.action.rawValue), UInt32(clamping: rule.maximumSkips), firstUpdate)
  }
}
