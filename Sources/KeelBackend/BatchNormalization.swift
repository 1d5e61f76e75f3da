/// Normalisation of each channel over all rows (Ioffe & Szegedy, 2015). Arrays are
/// rows x channels: every axis but the last is a row.
package protocol BatchNormalizationBackend {
  /// y = activation((x - mean) * inverseDeviation * gamma + beta), where mean and the biased
  /// variance are those of each channel of x and inverseDeviation = 1 / sqrt(variance + epsilon).
  /// From x and `factors` on all devices go alike, to the bit:
  /// z = fma(x - mean, scale, shift), y = activation(z); with an addend y = activation(z + addend).
  ///
  /// Running statistics: running = momentum * running + (1 - momentum) * value (Keras'
  /// convention), with the unbiased variance (rows / (rows - 1)), as PyTorch does. Both of a
  /// channel stay as they are, bit for bit, where its mean or unbiased variance is not finite in
  /// float32.
  ///
  /// - Parameters:
  ///   - gamma, beta, runningMean, runningVariance: channels.
  ///   - addend: as x, or nil.
  ///   - mean, inverseDeviation: channels; written, what the gradient needs.
  ///   - factors: 2 x channels; written, for the gradient too: scale = inverseDeviation * gamma and
  ///     shift = beta (less what `mean` lacks of the mean, times scale).
  func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, adding addend: NDArray?,
    _ activation: Activation, momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray, factors: NDArray
  ) throws(DeviceError)

  /// y = activation((x - mean) / sqrt(variance + epsilon) * gamma + beta), with given statistics.
  func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError)

  /// y = activation(fma(x - mean, scale, shift)): what ``batchNormalization`` wrote without an
  /// addend, once more and to the bit, from the mean and the factors that it wrote.
  func batchNormalizationOutput(
    _ x: NDArray, mean: NDArray, factors: NDArray, _ activation: Activation, into y: NDArray
  ) throws(DeviceError)

  /// With dz = dy * activation'(z), z = fma(x - mean, scale, shift),
  /// h = (x - mean) * inverseDeviation and sums over all rows:
  /// dbeta = sum dz; dgamma = sum dz * h;
  /// dx = scale * (dz - dbeta / rows - h * dgamma / rows).
  ///
  /// The output of the forward pass is not asked for: nobody has to keep it, and making z again
  /// costs less than reading it.
  ///
  /// - Parameters:
  ///   - mean, inverseDeviation, factors: as the forward pass wrote them.
  ///   - dx: as x, or nil where it is not needed. May be `dy`.
  ///   - dgamma, dbeta: channels; always written.
  func batchNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, mean: NDArray, inverseDeviation: NDArray,
    factors: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError)
}
