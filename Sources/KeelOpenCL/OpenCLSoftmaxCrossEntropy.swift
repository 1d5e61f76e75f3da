package import KeelBackend

extension OpenCLBackend: SoftmaxCrossEntropyBackend {
  package func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let columns = x.shape[x.shape.rank - 1]
    let rows = x.count / columns
    let plan = TeamPlan.rows(rows, of: columns, self)
    try launch(
      "softmax_cross_entropy", from: .softmaxCrossEntropy, options: plan.options,
      grid: plan.grid, x, labels, losses, logSums, UInt32(rows), UInt32(columns),
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
    try launch(
      "softmax_cross_entropy_gradient", from: .softmaxCrossEntropy, options: plan.options,
      grid: plan.grid, x, labels, logSums, dlosses, dx, UInt32(rows), UInt32(columns),
      UInt32(plan.run), smoothing)
  }
}
