public import KeelBackend

// Losses that are the mean of a formula of prediction x and target y. Shapes must be equal: to
// broadcast a loss is nearly always a mistake.

extension Tensor {
  /// The mean of max(x, 0) - x * t + log(1 + exp(-|x|)): the cross-entropy between sigmoid(x) and
  /// targets t in 0 ... 1, computed without overflow.
  ///
  /// - Returns: a scalar.
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes are equal and not empty.
  public func sigmoidCrossEntropy(targets: Tensor) throws(TensorError) -> Tensor {
    let x = Expression.x
    return try meanLoss(
      "sigmoidCrossEntropy", targets, x.maximum(0) - x * .y + (-x.abs()).exp().log1p(),
      slopes: (x.sigmoid() - .y, -x))
  }

  /// The mean of (x - target)^2.
  ///
  /// - Returns: a scalar.
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes are equal and not empty.
  public func meanSquaredError(_ target: Tensor) throws(TensorError) -> Tensor {
    let distance = Expression.x - .y
    return try meanLoss(
      "meanSquaredError", target, distance * distance, slopes: (2 * distance, -2 * distance))
  }

  /// The mean of |x - target|; its derivative at 0 is taken as 0.
  ///
  /// - Returns: a scalar.
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes are equal and not empty.
  public func meanAbsoluteError(_ target: Tensor) throws(TensorError) -> Tensor {
    let distance = Expression.x - .y
    return try meanLoss(
      "meanAbsoluteError", target, distance.abs(), slopes: (distance.sign(), -distance.sign()))
  }

  /// The mean of Huber's loss (1964) of d = x - target: d^2 / 2 where |d| <= delta, else
  /// delta * (|d| - delta / 2).
  ///
  /// - Parameter delta: finite and above 0.
  /// - Returns: a scalar.
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes are equal and not empty and delta is in
  ///   range.
  public func huberLoss(_ target: Tensor, delta: Float = 1) throws(TensorError) -> Tensor {
    try require(
      delta > 0 && delta.isFinite, "huberLoss", "a finite delta above 0", got: delta)
    let distance = Expression.x - .y
    let (limit, isNear) = (Expression.constant(delta), distance.abs() <= .constant(delta))
    let slope = isNear.select(distance, limit * distance.sign())
    return try meanLoss(
      "huberLoss", target,
      isNear.select(
        0.5 * distance * distance, limit * (distance.abs() - .constant(0.5 * delta))),
      slopes: (slope, -slope))
  }

  /// The mean of a formula of this tensor (input 0) and another (input 1).
  ///
  /// - Parameter slopes: the formula's derivatives with respect to both.
  private func meanLoss(
    _ operation: String, _ target: Tensor, _ formula: Expression,
    slopes: (Expression, Expression)
  ) throws(TensorError) -> Tensor {
    try requireFloat(operation, self)
    try requireOneDevice(operation, [self, target])
    guard shape == target.shape, shape.count > 0 else {
      throw .shape(
        ShapeError(
          operation,
          requires: "equal shapes, not empty" + shape.axisDifference(from: target.shape),
          got: shape, target.shape))
    }
    let flat: Shape = [shape.count]
    let (x, y, backend) = (value.reshaped(flat), target.value.reshaped(flat), backend)
    return try record(.pointwise, [self, target], shape: .scalar, method: operation) {
      (loss) throws(DeviceError) in
      let losses = try backend.newArray(flat)
      try backend.pointwise(formula, [x, y], into: losses)
      try backend.reduce(.mean, losses, axes: [0], into: loss)
    } pullback: { (dy, dx) throws(DeviceError) in
      let share = Expression.z / .constant(Float(flat.count))
      for (destination, slope) in zip(dx, [slopes.0, slopes.1]) {
        guard let destination = destination?.reshaped(flat) else { continue }
        try backend.pointwise(share * slope, [x, y, dy], into: destination)
      }
    }
  }
}
