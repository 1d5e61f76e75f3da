/// Noise that is added to gradients, in place, where `decision` applies.
package protocol GradientNoiseBackend {
  /// g[i] += a * (2 u - 1), u = (word i of `key` >> 8) * 2^-24, a = decision.noise; the product
  /// and the sum are rounded separately (UPSGD; Neelakantan et al., 2015, with a uniform
  /// distribution). a = 0 leaves every bit. The key's step is the count of updates before this
  /// step: `firstUpdate` plus counters.row - 1 (``StepControlBackend`` has moved it already).
  /// Elements of frozen blocks (learning-rate scale 0) keep their bits.
  func addUniformNoise(
    to g: NDArray, seed: UInt64, firstUpdate: UInt64, counters: NDArray, scales: NDArray,
    decision: NDArray
  ) throws(DeviceError)

  /// g += noise where decision.norm < threshold (perturbed gradient descent, Jin et al., 2017).
  func addNoise(
    _ noise: NDArray, to g: NDArray, whereNormBelow threshold: Float, decision: NDArray
  ) throws(DeviceError)
}
