public import KeelBackend

// Arithmetic of tensors and numbers. All broadcast by NumPy's rule, give float32 and throw
// `TensorError.shape` where the shapes do not broadcast.

extension Tensor {
  /// The sum left[i] + right[i].
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public static func + (left: Tensor, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("add", .x + .y, [left, right])
  }

  /// The sum left[i] + right, for a number on the right.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func + (left: Tensor, right: Float) throws(TensorError) -> Tensor {
    try pointwise("add", .x + .constant(right), [left])
  }

  /// The sum left + right[i], for a number on the left.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func + (left: Float, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("add", .constant(left) + .x, [right])
  }

  /// The difference left[i] - right[i].
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public static func - (left: Tensor, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("subtract", .x - .y, [left, right])
  }

  /// The difference left[i] - right, for a number on the right.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func - (left: Tensor, right: Float) throws(TensorError) -> Tensor {
    try pointwise("subtract", .x - .constant(right), [left])
  }

  /// The difference left - right[i], for a number on the left.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func - (left: Float, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("subtract", .constant(left) - .x, [right])
  }

  /// The product left[i] * right[i].
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public static func * (left: Tensor, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("multiply", .x * .y, [left, right])
  }

  /// The product left[i] * right, for a number on the right.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func * (left: Tensor, right: Float) throws(TensorError) -> Tensor {
    try pointwise("multiply", .x * .constant(right), [left])
  }

  /// The product left * right[i], for a number on the left.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func * (left: Float, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("multiply", .constant(left) * .x, [right])
  }

  /// The quotient left[i] / right[i].
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast.
  public static func / (left: Tensor, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("divide", .x / .y, [left, right])
  }

  /// The quotient left[i] / right, for a number on the right.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func / (left: Tensor, right: Float) throws(TensorError) -> Tensor {
    try pointwise("divide", .x / .constant(right), [left])
  }

  /// The quotient left / right[i], for a number on the left.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static func / (left: Float, right: Tensor) throws(TensorError) -> Tensor {
    try pointwise("divide", .constant(left) / .x, [right])
  }

  /// The negative -x[i].
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public static prefix func - (operand: Tensor) throws(TensorError) -> Tensor {
    try pointwise("negate", -.x, [operand])
  }
}
