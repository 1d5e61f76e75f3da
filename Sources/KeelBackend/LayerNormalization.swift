/// Normalisation of each row over its columns (Ba, Kiros, Hinton, 2016). Arrays are
/// rows x columns: the last axis holds the columns.
package protocol LayerNormalizationBackend {
  /// y[r, c] = (x[r, c] - mean[r]) * inverseDeviation[r] * gamma[c] + beta[c], with the biased
  /// variance and inverseDeviation = 1 / sqrt(variance + epsilon).
  ///
  /// - Parameters:
  ///   - gamma, beta: columns.
  ///   - mean, inverseDeviation: rows; written, what the gradient needs.
  func layerNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError)

  /// With h = (x - mean) * inverseDeviation and g = dy * gamma:
  /// dx = inverseDeviation * (g - mean over c of g - h * mean over c of (g * h));
  /// dgamma[c] = sum over r of dy * h; dbeta[c] = sum over r of dy.
  ///
  /// - Parameters:
  ///   - dx: as x, or nil where it is not needed.
  ///   - dgamma, dbeta: columns; always written.
  func layerNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError)
}
