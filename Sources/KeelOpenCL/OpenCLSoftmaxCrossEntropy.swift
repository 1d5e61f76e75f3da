package import KeelBackend

extension OpenCLBackend: SoftmaxCrossEntropyBackend {
  package func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    try rowLosses(x, labels, smoothing, losses: losses, logSums: logSums, right: right)
  }

  package func softmaxCrossEntropyMean(
    _ x: NDArray, labels: NDArray, smoothing: Float, into mean: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    // Where one team has all losses it can sum them as well.
    if isCPUClass, x.count <= Self.fewLogits || labels.count == 1 {
      return try rowLosses(x, labels, smoothing, mean: mean, logSums: logSums, right: right)
    }
    let all = try scratch(labels.count)
    let answers = right == nil ? nil : try scratch(labels.count)
    try rowLosses(x, labels, smoothing, losses: all, logSums: logSums, right: answers)
    try reduce(.mean, all, axes: [0], into: mean)
    if let right, let answers { try reduce(.sum, answers, axes: [0], into: right) }
  }

  /// So few numbers that one work-item is done with them before others and a sum of what they found
  /// would have been.
  private static let fewLogits = 8192

  /// - Parameter mean: nil, or all rows are one team's, which writes their mean in place of the
  ///   losses and how many are right in place of which.
  private func rowLosses(
    _ x: NDArray, _ labels: NDArray, _ smoothing: Float, losses: NDArray? = nil,
    mean: NDArray? = nil, logSums: NDArray, right: NDArray?
  ) throws(DeviceError) {
    if x.count == 0 { return }
    let columns = x.shape[x.shape.rank - 1]
    let rows = x.count / columns
    let plan = TeamPlan.rows(rows, of: columns, self)
    let isOne = mean != nil
    try launch(
      "softmax_cross_entropy", from: .softmaxCrossEntropy, options: plan.options,
      grid: isOne ? .tiles(1) : plan.grid, x, labels, losses, mean, logSums, right, UInt32(rows),
      UInt32(columns), UInt32(isOne ? rows : plan.run), smoothing)
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
