package import KeelBackend

extension OpenCLBackend: UnitNormBackend {
  package func clipUnits(
    _ g: NDArray, weights: NDArray, ratio: Float, floor: Float, decision: NDArray
  ) throws(DeviceError) {
    if g.count == 0 { return }
    let columns = g.shape.extents.last ?? 1
    let (options, grid) = bandPlan(columns)
    let factors = try scratch(columns)
    try launch(
      "unit_norm_clip", from: .unitNorm, options: options, grid: grid, g, weights, factors,
      decision, UInt32(g.count / columns), UInt32(columns), ratio, floor)
    try launch(
      "unit_norm_record", from: .unitNorm, options: options,
      grid: .groups(1, of: grid.local.x), factors, decision, UInt32(columns))
  }

  package func constrainUnits(
    _ weights: NDArray, _ constraint: UnitConstraint, decision: NDArray
  ) throws(DeviceError) {
    if weights.count == 0 { return }
    let columns = weights.shape.extents.last ?? 1
    let (options, grid) = bandPlan(columns)
    let (code, limit): (UInt32, Float) =
      switch constraint {
      case .maximumNorm(let limit): (0, limit)
      case .unitNorm: (1, 1)
      case .unitSum: (2, 1)
      }
    try launch(
      "unit_norm_constrain", from: .unitNorm, options: options, grid: grid, weights, decision,
      UInt32(weights.count / columns), UInt32(columns), code, limit)
  }

  /// Teams of bands: a vector of columns on CPU-class devices, eight columns on GPUs (`BAND`).
  private func bandPlan(_ columns: Int) -> (options: [String], grid: Grid) {
    let (width, group) = (isCPUClass ? 16 : 1, teamSize)
    let band = width * min(8, group)
    return (
      ["KEEL_WIDTH=\(width)", "KEEL_GROUP=\(group)"],
      .groups(ceilDivide(columns, band), of: group)
    )
  }
}
