public import KeelBackend

extension Tensor {
  /// The mean over all rows of the cross-entropy between softmax(this tensor) and class labels.
  ///
  /// With K classes and target t[c] = (1 - smoothing) * [c = label] + smoothing / K:
  /// loss = mean over rows of log(sum over c of exp(x[c])) - sum over c of t[c] * x[c].
  /// A label outside 0 ..< K makes the loss NaN.
  ///
  /// - Parameters:
  ///   - labels: int32, this shape without the last axis.
  ///   - smoothing: in 0 ..< 1 (Szegedy et al., 2016).
  /// - Returns: a scalar.
  /// - Throws: ``TensorError/shape(_:)`` unless labels fit, there is a row, and smoothing is in
  ///   range.
  public func softmaxCrossEntropy(
    labels: Tensor, smoothing: Float = 0
  ) throws(TensorError) -> Tensor {
    try meanCrossEntropy(labels, smoothing, right: nil)
  }

  /// The same, and how many rows are right: whose label is the first class of the largest logit.
  /// A row with a NaN is not.
  ///
  /// - Returns: the loss, and the count as a float32 scalar without gradient.
  package func softmaxCrossEntropyCounting(
    labels: Tensor, smoothing: Float = 0
  ) throws(TensorError) -> (loss: Tensor, right: Tensor) {
    let right = try compute(on: device, .scalar) { _ in }
    return (
      try meanCrossEntropy(labels, smoothing, right: right),
      Tensor(value: right, device: device, requiresGradient: false)
    )
  }

  private func meanCrossEntropy(
    _ labels: Tensor, _ smoothing: Float, right: NDArray?
  ) throws(TensorError) -> Tensor {
    let operation = "softmaxCrossEntropy"
    try requireLabels(operation, labels, smoothing)
    guard labels.shape.count > 0 else {
      throw .shape(ShapeError(operation, requires: "at least one row", got: shape))
    }
    let (x, classes, backend) = (value.asRows, labels.value, backend)
    let rows: Shape = [x.shape[0]]
    let logSums = try compute(on: device, rows) { _ in }
    return try record(
      .softmaxCrossEntropy, [self, labels], shape: .scalar,
      method: "softmaxCrossEntropy(labels:smoothing:)"
    ) { (loss) throws(DeviceError) in
      try backend.softmaxCrossEntropyMean(
        x, labels: classes.reshaped(rows), smoothing: smoothing, into: loss, logSums: logSums,
        right: right)
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.softmaxCrossEntropyGradient(
        x, labels: classes.reshaped(rows), smoothing: smoothing, logSums: logSums, upstream: dy,
        into: destination.asRows)
    }
  }

  /// The cross-entropy of each row; see ``softmaxCrossEntropy(labels:smoothing:)``.
  ///
  /// - Parameters:
  ///   - labels: int32, this shape without the last axis.
  ///   - smoothing: in 0 ..< 1.
  /// - Returns: one loss for each row, in the labels' shape.
  /// - Throws: ``TensorError/shape(_:)`` unless labels fit and smoothing is in range.
  public func softmaxCrossEntropyPerExample(
    labels: Tensor, smoothing: Float = 0
  ) throws(TensorError) -> Tensor {
    try requireLabels("softmaxCrossEntropyPerExample", labels, smoothing)
    let (x, classes, backend) = (value.asRows, labels.value, backend)
    let rows: Shape = [x.shape[0]]
    let logSums = try compute(on: device, rows) { _ in }
    return try record(.softmaxCrossEntropy, [self, labels], shape: labels.shape) {
      (losses) throws(DeviceError) in
      try backend.softmaxCrossEntropy(
        x, labels: classes.reshaped(rows), smoothing: smoothing, into: losses.reshaped(rows),
        logSums: logSums, right: nil)
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.softmaxCrossEntropyGradient(
        x, labels: classes.reshaped(rows), smoothing: smoothing, logSums: logSums,
        upstream: dy.reshaped(rows), into: destination.asRows)
    }
  }

  private func requireLabels(
    _ operation: String, _ labels: Tensor, _ smoothing: Float
  ) throws(TensorError) {
    try requireRows(operation)
    try requireInt32(operation, "labels", labels)
    try requireOneDevice(operation, [self, labels])
    guard labels.shape.extents == shape.extents.dropLast() else {
      throw .shape(
        ShapeError(operation, requires: "one label for each row", got: shape, labels.shape))
    }
    try require(
      smoothing >= 0 && smoothing < 1, operation, "a smoothing in 0 ..< 1", got: smoothing)
  }
}
