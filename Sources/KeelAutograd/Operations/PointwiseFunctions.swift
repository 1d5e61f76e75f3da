public import KeelBackend

// Functions of each element. All give float32 in the tensor's shape.

extension Tensor {
  /// e to the power of x[i].
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func exp() throws(TensorError) -> Tensor { try pointwise("exp", .x.exp(), [self]) }

  /// The natural logarithm of x[i]; NaN below 0, -infinity at 0.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func log() throws(TensorError) -> Tensor { try pointwise("log", .x.log(), [self]) }

  /// The square root of x[i]; NaN below 0.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func sqrt() throws(TensorError) -> Tensor { try pointwise("sqrt", .x.sqrt(), [self]) }

  /// The absolute value |x[i]|; its derivative at 0 is taken as 0.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func abs() throws(TensorError) -> Tensor { try pointwise("abs", .x.abs(), [self]) }

  /// -1, 0 or 1 as x[i] is; NaN of NaN. Its derivative is 0.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func sign() throws(TensorError) -> Tensor { try pointwise("sign", .x.sign(), [self]) }

  /// x[i] rounded to IEEE 754 half precision, as a cast to float16 and back would: 11 significant
  /// bits, ties to even, infinite from 65520 on, multiples of 2^-24 below 2^-14; NaN stays NaN. The
  /// gradient passes through as it is.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func roundedToHalf() throws(TensorError) -> Tensor {
    try pointwise("roundedToHalf", .x.roundedToHalf(), [self])
  }

  /// x[i] to the power of a number.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func power(_ exponent: Float) throws(TensorError) -> Tensor {
    try pointwise("power", .x.power(.constant(exponent)), [self])
  }

  /// x[i] to the power of exponent[i]; the derivative by the exponent is 0 where x is 0.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func power(_ exponent: Tensor) throws(TensorError) -> Tensor {
    try pointwise("power", .x.power(.y), [self, exponent])
  }

  /// The larger of x[i] and other[i]; NaN if either is NaN. Of equal operands each gets half of the
  /// gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func maximum(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("maximum", .x.maximum(.y), [self, other])
  }

  /// The larger of x[i] and a number; NaN if either is NaN. An equal x[i] gets half of the
  /// gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func maximum(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("maximum", .x.maximum(.constant(other)), [self])
  }

  /// The smaller of x[i] and other[i]; NaN if either is NaN. Of equal operands each gets half of
  /// the gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func minimum(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("minimum", .x.minimum(.y), [self, other])
  }

  /// The smaller of x[i] and a number; NaN if either is NaN. An equal x[i] gets half of the
  /// gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func minimum(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("minimum", .x.minimum(.constant(other)), [self])
  }

  /// x[i] brought into low ... high; NaN stays NaN. The derivative is 1 inside and on the bounds,
  /// 0 outside.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless low <= high.
  public func clipped(_ low: Float, _ high: Float) throws(TensorError) -> Tensor {
    try require(low <= high, "clipped", "low <= high", got: "\(low) and \(high)")
    // Comparisons with NaN are false: it falls through to x.
    let formula = (Expression.x < .constant(low)).select(
      .constant(low), (Expression.x > .constant(high)).select(.constant(high), .x))
    return try pointwise("clipped", formula, [self])
  }
}
