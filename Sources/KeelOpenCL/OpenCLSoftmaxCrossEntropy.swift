package import KeelBackend

extension OpenCLBackend: SoftmaxCrossEntropyBackend {
  package func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray
  ) throws(DeviceError) {
    try rowLosses(x, labels, smoothing, losses: losses, mean: nil, logSums: logSums)
  }

  package func softmaxCrossEntropyMean(
    _ x: NDArray, labels: NDArray, smoothing: Float, into mean: NDArray, logSums: NDArray
  ) throws(DeviceError) {
    // Where one team has all losses it can sum them as well.
    if isCPUClass, teams(of: x) == 1 {
      return try rowLosses(x, labels, smoothing, losses: nil, mean: mean, logSums: logSums)
    }
    let all = try scratch(labels.count)
    try rowLosses(x, labels, smoothing, losses: all, mean: nil, logSums: logSums)
    try reduce(.mean, all, axes: [0], into: mean)
  }

  private func teams(of x: NDArray) -> Int {
    let columns = x.shape[x.shape.rank - 1]
    guard x.count > 0 else { return 0 }
    return TeamPlan.rows(x.count / columns, of: columns, self).grid.groups.x
  }

  private func rowLosses(
    _ x: NDArray, _ labels: NDArray, _ smoothing: Float, losses: NDArray?, mean: NDArray?,
    logSums: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let columns = x.shape[x.shape.rank - 1]
    let rows = x.count / columns
    let plan = TeamPlan.rows(rows, of: columns, self)
    try launch(
      "softmax_cross_entropy", from: .softmaxCrossEntropy, options: plan.options,
      grid: plan.grid, x, labels, losses, mean, logSums, UInt32(rows), UInt32(columns),
      UInt32(plan.run), smoothing)
  }

  package func softmaxCrossEntropyGradient(
    _ x: NDArray, labels: NDArray, smoothing: Float, logSums: NDArray,
    upstream dlosses: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let columns = x.shape[x.shape.rank - 1]
    let rows = x.count / columns
    let plan = TeamPlan.rows(rows, of: columns, self)
    let isMean = dlosses.count == 1
    try launch(
      "softmax_cross_entropy_gradient", from: .softmaxCrossEntropy, options: plan.options,
      grid: plan.grid, x, labels, logSums, dlosses, dx, UInt32(rows), UInt32(columns),
      UInt32(plan.run), smoothing, UInt32(isMean ? 0 : 1), isMean ? Float(rows) : 1)
  }
}
