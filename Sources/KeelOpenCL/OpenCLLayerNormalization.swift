package import KeelBackend

extension OpenCLBackend: LayerNormalizationBackend {
  package func layerNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let columns = gamma.count
    let rows = x.count / columns
    let plan = TeamPlan.rows(rows, of: columns, self)
    try launch(
      "layer_normalization", from: .layerNormalization, options: plan.options, grid: plan.grid,
      x, gamma, beta, y, mean, inverseDeviation, UInt32(rows), UInt32(columns),
      UInt32(plan.run), epsilon)
  }

  package func layerNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    let columns = gamma.count
    if columns == 0 { return }
    let rows = x.count / columns
    if let dx {
      let plan = TeamPlan.rows(rows, of: columns, self)
      try launch(
        "layer_normalization_gradient", from: .layerNormalization, options: plan.options,
        grid: plan.grid, x, dy, gamma, mean, inverseDeviation, dx, UInt32(rows),
        UInt32(columns), UInt32(plan.run))
    }
    // Two launches: sums of each chunk of rows, then the sum of the chunks.
    let chunk = max(16, ceilDivide(rows, 256))
    let chunks = ceilDivide(rows, chunk)
    let width = isCPUClass ? 16 : 1
    let options = ["KEEL_WIDTH=\(width)", "KEEL_GROUP=1"]
    let vectors = ceilDivide(columns, width)
    let partial = try scratch(max(1, chunks * 2 * columns))
    try launch(
      "layer_normalization_columns", from: .layerNormalization, options: options,
      grid: isCPUClass ? .tiles(vectors, chunks) : .items(vectors, chunks, local: (64, 1)),
      x, dy, mean, inverseDeviation, partial, UInt32(rows), UInt32(columns), UInt32(chunk))
    try launch(
      "layer_normalization_columns_finish", from: .layerNormalization, options: options,
      grid: isCPUClass ? .tiles(vectors) : .items(vectors, local: 64),
      partial, dgamma, dbeta, UInt32(columns), UInt32(chunks))
  }
}
