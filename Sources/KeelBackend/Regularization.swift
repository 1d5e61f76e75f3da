/// Pulls of parameters towards 0, per block of the arena: `scales` as in ``OptimizerStepBackend``;
/// blocks whose learning-rate scale is 0 keep every bit, the decay scale d multiplies the strength.
package protocol RegularizationBackend {
  /// The gradient of l1 * sum |p| + l2 / 2 * sum p^2, coupled: g += d * (l1 * sign(p) + l2 * p),
  /// in place, sign(0) = 0.
  func addPenaltyGradient(
    to g: NDArray, parameters: NDArray, scales: NDArray, l1: Float, l2: Float
  ) throws(DeviceError)

  /// The proximal step of l1 (ISTA): with t = learning rate * s * d * l1,
  /// p = p > t ? p - t : p < -t ? p + t : p is NaN ? p : 0. Does nothing where `decision` does not
  /// apply; the learning rate is the decision's.
  func shrinkParameters(
    _ parameters: NDArray, scales: NDArray, l1: Float, decision: NDArray
  ) throws(DeviceError)
}
