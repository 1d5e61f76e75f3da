package import KeelBackend

extension OpenCLBackend: GradientNoiseBackend {
  package func addUniformNoise(
    to g: NDArray, seed: UInt64, firstUpdate: UInt64, counters: NDArray, scales: NDArray,
    decision: NDArray
  ) throws(DeviceError) {
    let plan = drawPlan(g.count)
    // The key of the first row: the kernel adds the rows since.
    let key = RandomKey(seed: seed, .noise, step: firstUpdate)
    try launch(
      "gradient_noise_uniform", from: .gradientNoise,
      options: plan.options + ["ARENA_BLOCK=\(ArenaBlock.count)"], grid: plan.grid, g, counters,
      scales, decision, UInt32(g.count), UInt32(plan.run), key.seedAndStep, key.stream)
  }

  package func addNoise(
    _ noise: NDArray, to g: NDArray, whereNormBelow threshold: Float, decision: NDArray
  ) throws(DeviceError) {
    let plan = TeamPlan.elements(
      g.count, width: isCPUClass ? 16 : 4, cpuRun: 512, gpuRun: 1, self)
    try launch(
      "gradient_noise_add", from: .gradientNoise,
      options: plan.options + ["ARENA_BLOCK=\(ArenaBlock.count)"], grid: plan.grid, noise, g,
      decision, UInt32(g.count), UInt32(plan.run), threshold)
  }
}
