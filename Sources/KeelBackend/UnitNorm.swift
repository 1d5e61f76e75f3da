/// What the incoming weights of each unit of a layer are held to.
package enum UnitConstraint: Hashable, Sendable {
  /// A norm of at most this: w *= norm > limit ? limit / norm : 1; a norm that is not above it
  /// leaves every bit. What is scaled falls short of the limit by 2^-22, so that its own norm is
  /// not above it.
  case maximumNorm(Float)
  /// A norm of 1: w /= norm; a norm of 0, or within 2^-21 of 1, leaves every bit.
  case unitNorm
  /// Elements that sum to 1: w /= sum (the simplex of exponentiated gradients); a sum of 0, or
  /// within 2^-21 of 1, leaves every bit.
  case unitSum
}

/// Limits per unit: a tensor counts as rows x columns, its last axis being the units, and unit j
/// as its column j. Norms neither overflow nor underflow; fixed trees. Nothing is done where
/// `decision` does not apply.
package protocol UnitNormBackend {
  /// Adaptive gradient clipping (Brock et al., 2021), in place: with a = ratio * max(norm of the
  /// unit's weights, floor) and n = norm of the unit's gradient: g *= n > a ? a / n : 1, less
  /// 2^-22 of that, so that rounding lifts no norm above its limit.
  /// decision.factor becomes the smallest factor, verdict applied becomes clipped where one is
  /// below 1 (one launch after the other: no atomics are needed).
  ///
  /// - Parameters:
  ///   - g, weights: float32, rows x columns; one column stands for a whole vector.
  func clipUnits(
    _ g: NDArray, weights: NDArray, ratio: Float, floor: Float, decision: NDArray
  ) throws(DeviceError)

  /// Holds each unit's weights (rows x columns) to a constraint, in place.
  func constrainUnits(
    _ weights: NDArray, _ constraint: UnitConstraint, decision: NDArray
  ) throws(DeviceError)
}
