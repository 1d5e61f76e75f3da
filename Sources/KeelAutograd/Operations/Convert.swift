public import KeelBackend

extension Tensor {
  /// The same numbers in another type: float16 and bfloat16 take half the memory of float32 and are
  /// computed with in float32.
  ///
  /// To 16 bits each number is rounded to the nearest, ties to even; beyond 65504 float16 becomes
  /// infinite. The gradient is converted back. A type that the tensor has already gives the tensor
  /// itself.
  ///
  /// - Parameter dtype: float32, float16 or bfloat16.
  /// - Throws: ``TensorError/shape(_:)`` for a tensor or a type of whole numbers.
  public func cast(to dtype: DType) throws(TensorError) -> Tensor {
    guard dtype.isFloat, self.dtype.isFloat else {
      throw .shape(
        ShapeError(
          "cast", requires: "float32, float16 or bfloat16 on both sides",
          gotText: "\(self.dtype) to \(dtype)"))
    }
    if dtype == self.dtype { return self }
    if dtype.isHalf, self.dtype.isHalf { return try cast(to: .float32).cast(to: dtype) }
    let (x, backend) = (value, backend)
    return try record(.convert, [self], shape: shape, dtype: dtype) { (y) throws(DeviceError) in
      try backend.convert(x, into: y)
    } pullback: { (dy, dx) throws(DeviceError) in
      if let destination = dx[0] { try backend.copy(dy, into: destination) }
    }
  }

  /// This leaf's elements in another memory and type, kept up to date by somebody else: what is
  /// computed from it sends its gradient to the leaf.
  package func standIn(_ value: NDArray) -> Tensor {
    precondition(value.shape == shape && value.dtype.isFloat)
    return Tensor(
      value: value, device: device, origin: requiresGradient ? .standIn(for: self) : .constant)
  }
}

extension Backend {
  /// out[i] = x[i], whatever floating types both have.
  func copy(_ x: NDArray, into out: NDArray) throws(DeviceError) {
    if x.count == 0 { return }
    if x.dtype.isHalf != out.dtype.isHalf {
      try convert(x, into: out)
    } else {
      try pointwise(.x, [x], into: out)
    }
  }
}

/// The type in which a result of elementwise work is kept: the 16-bit type that all operands of the
/// result's size have, else float32. Operands that are stretched, such as scales and biases, do not
/// decide; where all are, all of them do.
func storedType(_ operands: [Tensor], _ shape: Shape) -> DType {
  let whole = operands.filter { $0.shape.count == shape.count }
  let deciding = whole.isEmpty ? operands : whole
  guard let first = deciding.first?.dtype, first.isHalf,
    deciding.allSatisfy({ $0.dtype == first })
  else { return .float32 }
  return first
}
