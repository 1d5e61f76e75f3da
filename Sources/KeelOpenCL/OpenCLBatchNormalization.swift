package import KeelBackend

extension OpenCLBackend: BatchNormalizationBackend {
  package func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, adding addend: NDArray?,
    _ activation: Activation, momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray, factors: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let plan = BatchNormalizationPlan(x.count / gamma.count, gamma.count, x.dtype, self)
    let (rows, channels) = (UInt32(plan.rows), UInt32(plan.channels))
    let partial = try scratch(plan.chunks * 3 * plan.channels)
    try launch(
      plan.isTeam ? "batch_normalization_statistics_team" : "batch_normalization_statistics",
      from: .batchNormalization, options: plan.options, grid: plan.chunkGrid, x, partial, rows,
      channels, UInt32(plan.chunk), UInt32(plan.lanes))
    try launch(
      "batch_normalization_merge", from: .batchNormalization, options: plan.options,
      grid: plan.mergeGrid, partial, gamma, beta, runningMean, runningVariance, mean,
      inverseDeviation, factors, rows, channels, UInt32(plan.chunk), UInt32(plan.chunks),
      UInt32(plan.mergeLanes), epsilon, momentum)
    try apply(plan, x, adding: addend, mean: mean, factors: factors, activation, into: y)
  }

  package func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let plan = BatchNormalizationPlan(x.count / gamma.count, gamma.count, x.dtype, self)
    let factors = try scratch(2 * plan.channels)
    try launch(
      "batch_normalization_factors", from: .batchNormalization, options: plan.options,
      grid: .items(plan.channels, local: isCPUClass ? 1 : 64), gamma, beta, variance, factors,
      UInt32(plan.channels), epsilon)
    try apply(plan, x, mean: mean, factors: factors, activation, into: y)
  }

  package func batchNormalizationOutput(
    _ x: NDArray, mean: NDArray, factors: NDArray, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let plan = BatchNormalizationPlan(x.count / mean.count, mean.count, x.dtype, self)
    try apply(plan, x, mean: mean, factors: factors, activation, into: y)
  }

  package func batchNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, mean: NDArray, inverseDeviation: NDArray,
    factors: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    if mean.count == 0 { return }
    let plan = BatchNormalizationPlan(x.count / mean.count, mean.count, x.dtype, self)
    let source = try KernelSource.named("batch_normalization_gradient")
    let (rows, channels) = (UInt32(plan.rows), UInt32(plan.channels))
    let partial = try scratch(max(1, plan.chunks * 2 * plan.channels))
    let means = try scratch(2 * plan.channels)
    try launch(
      plan.isTeam ? "batch_normalization_gradient_sums_team" : "batch_normalization_gradient_sums",
      source: source, options: plan.options,
      grid: plan.chunkGrid, x, dy, mean, inverseDeviation, factors, partial, rows, channels,
      UInt32(plan.chunk), UInt32(plan.lanes), UInt32(activation.kernelCode),
      activation.kernelParameter)
    try launch(
      "batch_normalization_gradient_merge", source: source, options: plan.options,
      grid: plan.mergeGrid, partial, inverseDeviation, dgamma, dbeta, means, rows, channels,
      UInt32(plan.chunks), UInt32(plan.mergeLanes))
    guard let dx else { return }
    try launch(
      "batch_normalization_gradient", source: source, options: plan.options,
      grid: plan.elementGrid, x, dy, mean, factors, means, dx, rows, channels, UInt32(plan.run),
      UInt32(activation.kernelCode), activation.kernelParameter)
  }

  private func apply(
    _ plan: BatchNormalizationPlan, _ x: NDArray, adding addend: NDArray? = nil, mean: NDArray,
    factors: NDArray, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    try launch(
      "batch_normalization_apply", from: .batchNormalization, options: plan.options,
      grid: plan.elementGrid, x, addend ?? x, mean, factors, y, UInt32(plan.rows),
      UInt32(plan.channels), UInt32(plan.run), UInt32(addend == nil ? 0 : 1),
      UInt32(activation.kernelCode), activation.kernelParameter)
  }
}

/// How rows x channels are cut: chunks of rows for the sums, tiles of channels for the teams.
private struct BatchNormalizationPlan {
  let rows: Int
  let channels: Int
  let options: [String]
  /// Whether work-items share the rows of a chunk.
  let isTeam: Bool
  /// Rows of a chunk, and how many chunks there are.
  let chunk: Int
  let chunks: Int
  /// Lanes of a team side by side along the channels, when summing rows and when merging chunks.
  let lanes: Int
  let mergeLanes: Int
  /// Rows (CPU-class) or rounds of vectors (GPU) of a team that passes over all elements.
  let run: Int
  let chunkGrid: Grid
  let mergeGrid: Grid
  let elementGrid: Grid

  init(_ rows: Int, _ channels: Int, _ dtype: DType, _ device: OpenCLBackend) {
    self.rows = rows
    self.channels = channels
    let group = device.teamSize
    let width: Int
    isTeam = group > 1
    if device.isCPUClass {
      // Few widths: each is a program of its own.
      width = channels >= 16 ? 16 : channels >= 4 ? 4 : 1
      (lanes, mergeLanes) = (1, 1)
      chunk = max(1, min(512, 32768 / channels))
      // Long runs, as prefetchers like them, where that leaves runs enough.
      run = max(1, 8192 / channels, min(32768 / channels, rows / 64))
      chunkGrid = .tiles(1, ceilDivide(rows, chunk))
      elementGrid = .tiles(ceilDivide(rows, run))
    } else {
      width = channels % 4 == 0 ? 4 : 1
      var lanes = 1
      while lanes < group, lanes * width < channels { lanes *= 2 }
      let tile = lanes * width
      self.lanes = lanes
      mergeLanes = min(lanes * width, group, 32)
      chunk = max(group / lanes, 8192 / tile, ceilDivide(rows, 1024))
      run = 4
      chunkGrid = .groups(
        ceilDivide(channels, tile), ceilDivide(rows, chunk), of: (group, 1, 1))
      elementGrid = .groups(ceilDivide(rows * channels, width * group * run), of: group)
    }
    chunks = ceilDivide(rows, chunk)
    mergeGrid = .groups(ceilDivide(channels, mergeLanes), of: group)
    options = ["KEEL_WIDTH=\(width)", "KEEL_GROUP=\(group)"] + dtype.halfOptions
  }
}
