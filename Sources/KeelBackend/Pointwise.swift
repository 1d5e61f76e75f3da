/// One formula over the elements of arrays.
package protocol PointwiseBackend {
  /// out[i] = expression(inputs[0][i], inputs[1][i], …), each input broadcast to `out`'s shape.
  ///
  /// Inputs of int32 and uint8 are converted to float32. The output may be one of the inputs of
  /// equal shape (in place).
  ///
  /// - Parameters:
  ///   - inputs: at least `expression.inputCount` arrays of any element type, at most 6.
  ///   - out: float32.
  func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError)
}
