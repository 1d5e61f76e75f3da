package import KeelBackend

extension OpenCLBackend: RandomBackend {
  package func randomBits(_ key: RandomKey, into out: NDArray) throws(DeviceError) {
    let plan = drawPlan(out.count)
    try launch(
      "random_bits", from: .random, options: plan.options, grid: plan.grid, out,
      UInt32(out.count), UInt32(plan.run), key.seedAndStep, key.stream)
  }

  package func randomUniform(
    _ key: RandomKey, low: Float, high: Float, into out: NDArray
  ) throws(DeviceError) {
    let plan = drawPlan(out.count)
    try launch(
      "random_uniform", from: .random, options: plan.options, grid: plan.grid, out,
      UInt32(out.count), UInt32(plan.run), key.seedAndStep, key.stream, low, high - low)
  }

  /// Draws of 64 words on CPU-class devices, of 4 on GPUs.
  func drawPlan(_ count: Int) -> TeamPlan {
    let plan = TeamPlan.elements(
      count, width: isCPUClass ? 64 : 4, cpuRun: 64, gpuRun: 2, self)
    return TeamPlan(
      width: isCPUClass ? 16 : 4, group: plan.group, run: plan.run, grid: plan.grid)
  }
}

extension RandomKey {
  /// Seed and step as an argument of a kernel.
  var seedAndStep: SeedAndStep { SeedAndStep(key: self) }

  /// The low and high halves of the seed, then of the step.
  var halves: SIMD4<UInt32> {
    SIMD4(
      philoxKey.x, philoxKey.y, UInt32(truncatingIfNeeded: step),
      UInt32(truncatingIfNeeded: step >> 32))
  }
}
