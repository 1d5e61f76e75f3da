package import KeelBackend

extension OpenCLBackend: GlobalNormClipBackend {
  package func globalNormClip(
    _ g: NDArray, limit: Float?, into summary: NDArray
  ) throws(DeviceError) {
    // A round of a lane is a block of eight vectors (`BLOCK`).
    let width = isCPUClass ? 16 : 4
    let block = 8 * width
    let plan = TeamPlan.elements(
      g.count, width: block, cpuRun: 128, gpuRun: max(4, ceilDivide(g.count, 1 << 24)), self)
    let teams = ceilDivide(g.count, block * plan.group * plan.run)
    let options = ["KEEL_WIDTH=\(width)", "KEEL_GROUP=\(plan.group)"]
    let partial = try scratch(max(1, teams) * 8)
    try launch(
      "global_norm_clip_squares", from: .globalNormClip, options: options, grid: plan.grid,
      g, partial, UInt32(g.count), UInt32(plan.run))
    try launch(
      "global_norm_clip_finish", from: .globalNormClip, options: options,
      grid: .groups(1, of: plan.group), partial, summary, UInt32(teams), limit ?? .infinity)
  }
}
