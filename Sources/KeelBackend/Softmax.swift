/// Softmax and its logarithm over the last axis: arrays are rows x columns.
package protocol SoftmaxBackend {
  /// y[r, c] = exp(x[r, c] - max of row r) / sum over c of the same.
  func softmax(_ x: NDArray, into y: NDArray) throws(DeviceError)

  /// dx[r, c] = y[r, c] * (dy[r, c] - sum over c of dy[r, c] * y[r, c]).
  func softmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError)

  /// y[r, c] = x[r, c] - m - log(sum over c of exp(x[r, c] - m)), m the largest of row r.
  func logSoftmax(_ x: NDArray, into y: NDArray) throws(DeviceError)

  /// dx[r, c] = dy[r, c] - exp(y[r, c]) * sum over c of dy[r, c].
  func logSoftmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError)
}
