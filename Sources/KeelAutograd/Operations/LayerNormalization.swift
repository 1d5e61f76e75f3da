public import KeelBackend

extension Tensor {
  /// Layer normalisation (Ba, Kiros, Hinton, 2016) over the last axis:
  /// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and biased variance of each
  /// row.
  ///
  /// - Parameters:
  ///   - gamma, beta: as many numbers as the last axis has.
  ///   - epsilon: above 0.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit or an epsilon out of range.
  public func layerNormalization(
    gamma: Tensor, beta: Tensor, epsilon: Float = 1e-5
  ) throws(TensorError) -> Tensor {
    let operation = "layerNormalization"
    try requireFloat(operation, self, gamma, beta)
    try requireOneDevice(operation, [self, gamma, beta])
    guard let columns = shape.extents.last, columns > 0 else {
      throw .shape(ShapeError(operation, requires: "numbers in the last axis", got: shape))
    }
    try requireVector(operation, "gamma", gamma, columns)
    try requireVector(operation, "beta", beta, columns)
    try require(
      epsilon > 0 && epsilon.isFinite, operation, "a finite epsilon above 0", got: epsilon)

    let (x, scale, shift, backend) = (value.asRows, gamma.value, beta.value, backend)
    let mean = try compute(on: device, [x.shape[0]]) { _ in }
    let inverseDeviation = try compute(on: device, [x.shape[0]]) { _ in }
    return try record(.layerNormalization, [self, gamma, beta], shape: shape, dtype: dtype) {
      (y) throws(DeviceError) in
      try backend.layerNormalization(
        x, gamma: scale, beta: shift, epsilon: epsilon, into: y.asRows, mean: mean,
        inverseDeviation: inverseDeviation)
    } pullback: { (dy, dx) throws(DeviceError) in
      try backend.layerNormalizationGradient(
        x, upstream: dy.asRows, gamma: scale, mean: mean, inverseDeviation: inverseDeviation,
        into: dx[0]?.asRows, dgamma: try backend.given(dx[1], or: [columns]),
        dbeta: try backend.given(dx[2], or: [columns]))
    }
  }
}
