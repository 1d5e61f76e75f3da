/// Cross-entropy of softmax(logits) against class labels, one loss per row.
package protocol SoftmaxCrossEntropyBackend {
  /// With s = smoothing, K columns, L[r] = log(sum over c of exp(x[r, c])) computed from the row's
  /// maximum, and target t[r, c] = (1 - s) * [c = labels[r]] + s / K:
  /// losses[r] = L[r] - sum over c of t[r, c] * x[r, c].
  ///
  /// A label outside 0 ..< K gives a loss of NaN: never silent.
  ///
  /// - Parameters:
  ///   - x: logits, rows x columns.
  ///   - labels: int32, rows.
  ///   - losses: rows.
  ///   - logSums: rows; receives L, what the gradient needs.
  ///   - right: rows, float32, or nil; receives 1 where labels[r] is the first column of the
  ///     largest logit, else 0: also for a label outside, and where the row has a NaN.
  func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError)

  /// The same with the mean of the losses alone, one element.
  ///
  /// - Parameter right: one float32, or nil; receives how many rows are right.
  func softmaxCrossEntropyMean(
    _ x: NDArray, labels: NDArray, smoothing: Float, into mean: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError)

  /// dx[r, c] = d[r] * (exp(x[r, c] - logSums[r]) - t[r, c]); NaN for a label outside.
  ///
  /// - Parameter dlosses: d, one number for each row; or one element alone, the gradient of the
  ///   mean: d[r] = dlosses[0] / rows.
  func softmaxCrossEntropyGradient(
    _ x: NDArray, labels: NDArray, smoothing: Float, logSums: NDArray,
    upstream dlosses: NDArray, into dx: NDArray
  ) throws(DeviceError)
}

extension Backend {
  /// Losses, then their mean; right answers, then their sum.
  package func softmaxCrossEntropyMean(
    _ x: NDArray, labels: NDArray, smoothing: Float, into mean: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    let losses = try allocate([labels.count], .float32)
    let answers = right == nil ? nil : try allocate([labels.count], .float32)
    try softmaxCrossEntropy(
      x, labels: labels, smoothing: smoothing, into: losses, logSums: logSums, right: answers)
    try reduce(.mean, losses, axes: [0], into: mean)
    if let right, let answers { try reduce(.sum, answers, axes: [0], into: right) }
  }
}
