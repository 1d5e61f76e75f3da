package import KeelBackend

extension OpenCLBackend: RegularizationBackend {
  package func addPenaltyGradient(
    to g: NDArray, parameters: NDArray, scales: NDArray, l1: Float, l2: Float
  ) throws(DeviceError) {
    let plan = arenaPlan(g.count)
    try launch(
      "regularization_penalty", from: .regularization, options: arenaOptions(plan),
      grid: plan.grid, g, parameters, scales, UInt32(g.count / plan.width), UInt32(plan.run), l1,
      l2)
  }

  package func shrinkParameters(
    _ parameters: NDArray, scales: NDArray, l1: Float, decision: NDArray
  ) throws(DeviceError) {
    let plan = arenaPlan(parameters.count)
    try launch(
      "regularization_shrink", from: .regularization, options: arenaOptions(plan),
      grid: plan.grid, parameters, scales, decision, UInt32(parameters.count / plan.width),
      UInt32(plan.run), l1)
  }

  /// A pass over the arena.
  func arenaPlan(_ count: Int) -> TeamPlan {
    TeamPlan.elements(count, width: isCPUClass ? 16 : 4, cpuRun: 512, gpuRun: 1, self)
  }

  func arenaOptions(_ plan: TeamPlan) -> [String] {
    plan.options + ["ARENA_BLOCK=\(ArenaBlock.count)"]
  }
}
