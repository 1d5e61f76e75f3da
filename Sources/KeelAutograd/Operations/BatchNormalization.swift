public import KeelBackend

extension Tensor {
  /// Batch normalisation while training (Ioffe & Szegedy, 2015), with the activation in the same
  /// kernel: y = activation((x - mean) / sqrt(variance + epsilon) * gamma + beta), mean and biased
  /// variance of each channel (last axis) over all other axes.
  ///
  /// The running tensors are updated in place:
  /// running = momentum * running + (1 - momentum) * value, with the unbiased variance. A channel
  /// whose mean or variance is not finite leaves its running numbers as they are, bit for bit: one
  /// bad batch does not poison what is used later. Nothing is read back for that.
  ///
  /// - Parameters:
  ///   - gamma, beta, runningMean, runningVariance: channels.
  ///   - momentum: in 0 ... 1.
  ///   - epsilon: above 0.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit, fewer than two values in a
  ///   channel, numbers out of range.
  public func batchNormalization(
    gamma: Tensor, beta: Tensor, runningMean: Tensor, runningVariance: Tensor,
    momentum: Float = 0.99, epsilon: Float = 1e-3, activation: Activation = .identity
  ) throws(TensorError) -> Tensor {
    try batchNormalization(
      gamma: gamma, beta: beta, runningMean: runningMean, runningVariance: runningVariance,
      momentum: momentum, epsilon: epsilon, adding: nil, activation: activation)
  }

  /// The same with another tensor added before the activation, as at the end of a residual block,
  /// in the same kernel; to the bit what ``adding(_:activation:)`` gives.
  package func batchNormalization(
    gamma: Tensor, beta: Tensor, runningMean: Tensor, runningVariance: Tensor, momentum: Float,
    epsilon: Float, adding other: Tensor?, activation: Activation
  ) throws(TensorError) -> Tensor {
    let operation = "batchNormalization"
    if let other, !joins(other, activation) {
      return try batchNormalization(
        gamma: gamma, beta: beta, runningMean: runningMean, runningVariance: runningVariance,
        momentum: momentum, epsilon: epsilon
      ).adding(other, activation: activation)
    }
    let channels = try requireChannels(
      operation, epsilon, [gamma, beta, runningMean, runningVariance])
    try require(momentum >= 0 && momentum <= 1, operation, "a momentum in 0 ... 1", got: momentum)
    guard shape.count / channels >= 2 else {
      throw .shape(
        ShapeError(operation, requires: "at least two values in each channel", got: shape))
    }
    let fused = activation.isFusable ? activation : .identity
    let (x, scale, shift, backend) = (value.asRows, gamma.value, beta.value, backend)
    let mean = try compute(on: device, [channels]) { _ in }
    let inverseDeviation = try compute(on: device, [channels]) { _ in }
    let factors = try compute(on: device, [2, channels]) { _ in }
    let y = try compute(on: device, shape, dtype) { (y) throws(DeviceError) in
      try backend.batchNormalization(
        x, gamma: scale, beta: shift, epsilon: epsilon, adding: other?.value.asRows, fused,
        momentum: momentum,
        runningMean: runningMean.value, runningVariance: runningVariance.value, into: y.asRows,
        mean: mean, inverseDeviation: inverseDeviation, factors: factors)
    }
    // x is kept, the result is not: whoever reads it on the way back makes it again.
    let links: [GradientLink] = [.elementwise, .computed, .computed]
    // With an addend the activation is that of the sum, whose sign x does not tell.
    let ending = other.map { _ in Ending(activation: fused, output: y) }
    let within = other == nil ? fused : .identity
    let output = attach(
      .batchNormalization, [self, gamma, beta] + (other.map { [$0] } ?? []), y,
      links: links + (other.map { _ in [.passes] } ?? []), ending: ending,
      method: "batchNormalization"
    ) { (dy, dx) throws(DeviceError) in
      guard dx[0] != nil || dx[1] != nil || dx[2] != nil else { return }
      try backend.batchNormalizationGradient(
        x, upstream: dy.asRows, mean: mean, inverseDeviation: inverseDeviation,
        factors: factors, within, into: dx[0]?.asRows,
        dgamma: try backend.given(dx[1], or: [channels]),
        dbeta: try backend.given(dx[2], or: [channels]))
    }
    guard activation.isFusable else { return try output.activate(operation, activation) }
    if output.requiresGradient, other == nil {
      let (shape, dtype) = (shape, dtype)
      output.remake = { () throws(DeviceError) in
        let y = try backend.newArray(shape, dtype)
        try backend.batchNormalizationOutput(
          x, mean: mean, factors: factors, fused, into: y.asRows)
        return y
      }
    }
    return output
  }

  /// Batch normalisation with given statistics:
  /// y = activation((x - mean) / sqrt(variance + epsilon) * gamma + beta) for each channel (last
  /// axis). Differentiable in this tensor, gamma and beta.
  ///
  /// - Parameters:
  ///   - gamma, beta, mean, variance: channels.
  ///   - epsilon: above 0.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit or an epsilon out of range.
  public func batchNormalizationInference(
    gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, epsilon: Float = 1e-3,
    activation: Activation = .identity
  ) throws(TensorError) -> Tensor {
    let operation = "batchNormalizationInference"
    let channels = try requireChannels(operation, epsilon, [gamma, beta, mean, variance])
    let fused = activation.isFusable ? activation : .identity
    let (x, scale, shift, backend) = (value.asRows, gamma.value, beta.value, backend)
    let (center, spread) = (mean.value, variance.value)
    let y = try compute(on: device, shape, dtype) { (y) throws(DeviceError) in
      try backend.batchNormalizationInference(
        x, gamma: scale, beta: shift, mean: center, variance: spread, epsilon: epsilon, fused,
        into: y.asRows)
    }
    let kept = fused == .identity ? nil : y
    let links = [GradientLink](repeating: .computed, count: 3)
    let output = attach(
      .batchNormalization, [self, gamma, beta], y, links: links,
      overwritesUpstream: fused != .identity
    ) { (dy, dx) throws(DeviceError) in
      try backend.pullEpilogue(
        fused, output: kept ?? dy, upstream: dy, bias: dx[2],
        needsInner: dx[0] != nil || dx[1] != nil)
      let dz = dy.asRows
      let deviation = (Expression.z + .constant(epsilon)).sqrt()
      if let destination = dx[0] {
        try backend.pointwise(.x * .y / deviation, [dz, scale, spread], into: destination.asRows)
      }
      if let destination = dx[1] {
        let terms = try backend.newArray(x.shape)
        let distance = Expression.y - .input(3)
        try backend.pointwise(.x * distance / deviation, [dz, x, spread, center], into: terms)
        try backend.reduce(.sum, terms, axes: [0], into: destination.reshaped([channels]))
      }
    }
    return activation.isFusable ? output : try output.activate(operation, activation)
  }

  /// The extent of the last axis, for which every vector has one number.
  private func requireChannels(
    _ operation: String, _ epsilon: Float, _ vectors: [Tensor]
  ) throws(TensorError) -> Int {
    try requireFloat(operation, self)
    try requireOneDevice(operation, [self] + vectors)
    guard let channels = shape.extents.last, channels > 0 else {
      throw .shape(ShapeError(operation, requires: "channels in the last axis", got: shape))
    }
    for vector in vectors {
      try requireFloat(operation, vector)
      try requireVector(operation, "parameter or statistic", vector, channels)
    }
    try require(
      epsilon > 0 && epsilon.isFinite, operation, "a finite epsilon above 0", got: epsilon)
    return channels
  }
}
