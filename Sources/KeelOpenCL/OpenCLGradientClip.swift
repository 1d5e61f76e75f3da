package import KeelBackend

extension OpenCLBackend: GradientClipBackend {
  package func clipCoefficients(
    _ rule: ClipRule, _ reading: TelescopeReading, isLast: Bool, state: NDArray?,
    decision: NDArray, into coefficients: NDArray
  ) throws(DeviceError) {
    let (number, numbers, window) = arguments(rule)
    let options = ["KEEL_WIDTH=\(vectorWidth)", "KEEL_GROUP=\(teamSize)"]
    try launch(
      "gradient_clip_coefficients", from: .gradientClip, options: options,
      grid: .groups(1, of: teamSize), reading.statistics, reading.summary, state, decision,
      coefficients, number, numbers, window, UInt32(reading.tensorCount),
      UInt32(isLast ? 1 : 0))
  }

  /// The rule's number in the kernel, its numbers, and its window or warm-up.
  private func arguments(_ rule: ClipRule) -> (UInt32, SIMD4<Float>, UInt32) {
    switch rule {
    case .globalNorm(let limit): (0, SIMD4(limit, 0, 0, 0), 0)
    case .globalMaxAbs(let limit): (1, SIMD4(limit, 0, 0, 0), 0)
    case .perTensorNorm(let limit): (2, SIMD4(limit, 0, 0, 0), 0)
    case .autoClip(let percentile, let window):
      (3, SIMD4(percentile, 0, 0, 0), UInt32(clamping: window))
    case .zClip(let alpha, let threshold, let warmUp):
      (4, SIMD4(alpha, threshold, 0, 0), UInt32(clamping: warmUp))
    case .adaGC(let relative, let beta, let warmUp, let limit):
      (5, SIMD4(relative, beta, limit, 0), UInt32(clamping: warmUp))
    }
  }

  private var vectorWidth: Int { isCPUClass ? 16 : 4 }

  package func scaleGradients(
    _ g: NDArray, _ table: TelescopeTable, coefficients: NDArray, decision: NDArray
  ) throws(DeviceError) {
    let run = isCPUClass ? 4 : 1
    try launch(
      "gradient_clip_scale", from: .gradientClip,
      options: ["KEEL_WIDTH=\(vectorWidth)", "KEEL_GROUP=\(teamSize)"],
      grid: .groups(ceilDivide(table.chunkCount, run), of: teamSize), g, table.chunks,
      coefficients, decision, UInt32(table.chunkCount), UInt32(run))
  }

  package func clipElements(
    _ g: NDArray, limit: Float, decision: NDArray
  ) throws(DeviceError) {
    let plan = elementPlan(g.count)
    try launch(
      "gradient_clip_elements", from: .gradientClip, options: plan.options, grid: plan.grid, g,
      decision, limit, UInt32(g.count), UInt32(plan.run))
  }

  package func repairGradients(
    _ g: NDArray, _ repair: FaultRepair, faults: NDArray
  ) throws(DeviceError) {
    let plan = elementPlan(g.count)
    try launch(
      "gradient_clip_repair", from: .gradientClip, options: plan.options, grid: plan.grid, g,
      faults, repair.infinite, UInt32(g.count), UInt32(plan.run))
  }

  private func elementPlan(_ count: Int) -> TeamPlan {
    .elements(count, width: vectorWidth, cpuRun: 1024, gpuRun: 4, self)
  }
}
