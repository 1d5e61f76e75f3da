/// The norm of all gradients at once, and the factor that clips it (Pascanu et al., 2012).
package protocol GlobalNormClipBackend {
  /// summary[0] = norm = sqrt(sum of g[i]^2) and
  /// summary[1] = coefficient = norm > limit ? limit / norm : 1.
  ///
  /// The sum neither overflows nor underflows: gradients of 1e20 and 1e-24 give exact norms. A NaN
  /// or infinity in g makes the norm NaN or infinite. The tree is fixed: two runs are bit-equal.
  /// The host reads nothing: ``OptimizerStepBackend`` consumes the coefficient on the device.
  ///
  /// - Parameters:
  ///   - g: float32, any count (the arena's gradients, padding 0).
  ///   - limit: finite and above 0, or nil: the coefficient is then 1.
  ///   - summary: 2 float32.
  func globalNormClip(
    _ g: NDArray, limit: Float?, into summary: NDArray
  ) throws(DeviceError)
}
