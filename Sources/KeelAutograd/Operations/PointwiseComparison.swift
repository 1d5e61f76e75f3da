public import KeelBackend

// Comparisons, as numbers 1 and 0 of type float32.

extension Tensor {
  /// 1 where x[i] < other[i], 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func less(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("less", .x < .y, [self, other])
  }

  /// 1 where x[i] < a number, 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func less(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("less", .x < .constant(other), [self])
  }

  /// 1 where x[i] <= other[i], 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func lessOrEqual(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("lessOrEqual", .x <= .y, [self, other])
  }

  /// 1 where x[i] <= a number, 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func lessOrEqual(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("lessOrEqual", .x <= .constant(other), [self])
  }

  /// 1 where x[i] > other[i], 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func greater(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("greater", .x > .y, [self, other])
  }

  /// 1 where x[i] > a number, 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func greater(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("greater", .x > .constant(other), [self])
  }

  /// 1 where x[i] >= other[i], 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func greaterOrEqual(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("greaterOrEqual", .x >= .y, [self, other])
  }

  /// 1 where x[i] >= a number, 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func greaterOrEqual(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("greaterOrEqual", .x >= .constant(other), [self])
  }

  /// 1 where x[i] = other[i], 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func equal(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("equal", .x.equal(.y), [self, other])
  }

  /// 1 where x[i] = a number, 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func equal(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("equal", .x.equal(.constant(other)), [self])
  }

  /// 1 where x[i] differs from other[i] (a NaN differs from everything), 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func notEqual(_ other: Tensor) throws(TensorError) -> Tensor {
    try pointwise("notEqual", .x.notEqual(.y), [self, other])
  }

  /// 1 where x[i] differs from a number (a NaN differs from everything), 0 elsewhere. No gradient.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func notEqual(_ other: Float) throws(TensorError) -> Tensor {
    try pointwise("notEqual", .x.notEqual(.constant(other)), [self])
  }

  /// then[i] where x[i] is not 0 (NaN is not), otherwise[i] elsewhere.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public func select(_ then: Tensor, _ otherwise: Tensor) throws(TensorError) -> Tensor {
    try pointwise("select", .x.select(.y, .z), [self, then, otherwise])
  }
}
