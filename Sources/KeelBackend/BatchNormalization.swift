/// Normalisation of each channel over all rows (Ioffe & Szegedy, 2015). Arrays are
/// rows x channels: every axis but the last is a row.
package protocol BatchNormalizationBackend {
  /// y = activation((x - mean) * inverseDeviation * gamma + beta), where mean and the biased
  /// variance are those of each channel of x and inverseDeviation = 1 / sqrt(variance + epsilon).
  ///
  /// Running statistics: running = momentum * running + (1 - momentum) * value (Keras'
  /// convention), with the unbiased variance (rows / (rows - 1)), as PyTorch does. Both of a
  /// channel stay as they are, bit for bit, where its mean or unbiased variance is not finite in
  /// float32.
  ///
  /// - Parameters:
  ///   - gamma, beta, runningMean, runningVariance: channels.
  ///   - mean, inverseDeviation: channels; written, what the gradient needs.
  func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, _ activation: Activation,
    momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError)

  /// y = activation((x - mean) / sqrt(variance + epsilon) * gamma + beta), with given statistics.
  func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError)

  /// With dz = dy * activation'(y), h = (x - mean) * inverseDeviation and sums over all rows:
  /// dbeta = sum dz; dgamma = sum dz * h;
  /// dx = gamma * inverseDeviation * (dz - dbeta / rows - h * dgamma / rows).
  ///
  /// - Parameters:
  ///   - dx: as x, or nil where it is not needed.
  ///   - dgamma, dbeta: channels; always written.
  func batchNormalizationGradient(
    _ x: NDArray, output y: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError)
}
