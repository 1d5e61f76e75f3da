public import KeelBackend

extension Tensor {
  /// The mean squared distance from the mean over axes: sum of (x - mean)^2 / n, or / (n - 1) if
  /// `unbiased`. Computed in two passes: no cancellation.
  ///
  /// - Parameters:
  ///   - axes: distinct; negative ones count from the end; nil means all.
  ///   - keepingAxes: whether reduced axes stay with extent 1.
  ///   - unbiased: whether to divide by n - 1 (Bessel's correction).
  /// - Throws: ``TensorError/shape(_:)`` for axes that are not there, repeated or empty, and for a
  ///   single element if `unbiased`.
  public func variance(
    axes: [Int]? = nil, keepingAxes: Bool = false, unbiased: Bool = false
  ) throws(TensorError) -> Tensor {
    let plan = try ReductionPlan("variance", self, axes, keepingAxes: keepingAxes)
    try require(
      !unbiased || plan.divisor > 1, "variance", "two elements for an unbiased variance",
      got: plan.divisor)
    let divisor = Float(plan.divisor - (unbiased ? 1 : 0))
    let (x, backend) = (plan.view(value), backend)
    let mean = try onDevice { () throws(DeviceError) in try backend.newArray(plan.kept) }
    return try record(.reduction, [self], shape: plan.result) { (y) throws(DeviceError) in
      try backend.reduce(.mean, x, axes: plan.axes, into: mean)
      let squares = try backend.newArray(plan.input)
      try backend.pointwise((.x - .y) * (.x - .y), [x, mean], into: squares)
      try backend.reduce(.sum, squares, axes: plan.axes, into: y)
      try backend.pointwise(.x / .constant(divisor), [y], into: y)
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0].map(plan.view) else { return }
      // The mean's own dependence on x drops out: the distances from it add up to 0.
      try backend.pointwise(
        .z * .constant(2 / divisor) * (.x - .y), [x, mean, dy.reshaped(plan.kept)],
        into: destination)
    }
  }

  /// The position of the largest element along an axis, the first of equals; the first NaN if
  /// there is one. int32, this shape without the axis. No gradient.
  ///
  /// - Parameter axis: negative ones count from the end.
  /// - Throws: ``TensorError/shape(_:)`` for an axis that is not there or empty.
  public func argmax(axis: Int = -1) throws(TensorError) -> Tensor {
    try requireFloat("argmax", self)
    let resolved = try shape.resolve(axis: axis, "argmax")
    guard shape[resolved] > 0 else {
      throw .shape(ShapeError("argmax", requires: "an axis that is not empty", got: shape))
    }
    let (x, backend) = (value, backend)
    let result = shape.reducing([resolved], keepingAxes: false)
    return try record(.argmax, [self], shape: result, dtype: .int32) { (y) throws(DeviceError) in
      try backend.argmax(x, axis: resolved, into: y)
    }
  }
}
