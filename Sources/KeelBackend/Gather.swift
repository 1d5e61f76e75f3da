/// Rows picked by index, and the sum back.
package protocol GatherBackend {
  /// out[o, k, i] = x[o, indices[k], i]; 0 where the index is outside 0 ..< axis extent.
  ///
  /// - Parameters:
  ///   - x: outer x extent x inner, float32.
  ///   - indices: int32, any count.
  ///   - out: outer x indices.count x inner, float32.
  func gather(
    _ x: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int, into out: NDArray
  ) throws(DeviceError)

  /// dx[o, e, i] = sum over k with indices[k] = e of dy[o, k, i], in ascending order of k.
  func gatherGradient(
    upstream dy: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int,
    into dx: NDArray
  ) throws(DeviceError)
}

/// Labels as rows.
package protocol OneHotBackend {
  /// out[k, c] = 1 where indices[k] = c, else 0; a row of zeros for an index outside.
  ///
  /// - Parameters:
  ///   - indices: int32, any count.
  ///   - out: indices.count x classes, float32.
  func oneHot(_ indices: NDArray, into out: NDArray) throws(DeviceError)
}
