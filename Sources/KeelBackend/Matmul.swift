/// The extents of a batch of matrix products c[i] = a[i] * b[i].
package struct MatmulGeometry: Hashable, Sendable, Codable {
  package var batch: Int
  package var rows: Int
  package var inner: Int
  package var columns: Int
  /// Whether the left operand is stored inner x rows.
  package var transposeLeft: Bool
  /// Whether the right operand is stored columns x inner.
  package var transposeRight: Bool
  /// Elements from one left matrix to the next: rows * inner unless they lie apart, or 0 where all
  /// share one.
  package var leftBatchStride: Int
  /// Elements from one right matrix to the next: inner * columns unless they lie apart, or 0 where
  /// all share one.
  package var rightBatchStride: Int

  package init(
    batch: Int = 1, rows: Int, inner: Int, columns: Int, transposeLeft: Bool = false,
    transposeRight: Bool = false, sharesLeft: Bool = false, sharesRight: Bool = false
  ) {
    self.batch = batch
    self.rows = rows
    self.inner = inner
    self.columns = columns
    self.transposeLeft = transposeLeft
    self.transposeRight = transposeRight
    leftBatchStride = sharesLeft || batch == 1 ? 0 : rows * inner
    rightBatchStride = sharesRight || batch == 1 ? 0 : inner * columns
  }

  /// Floating-point operations: two per multiply-add.
  package var flops: Int { 2 * batch * rows * inner * columns }
}

extension MatmulGeometry: CustomStringConvertible {
  /// Such as `64 x 784 x 128` (rows, inner, columns) or `36 of 448' x 64 x 64`, `'` if transposed.
  package var description: String {
    let left = transposeLeft ? "'" : ""
    let right = transposeRight ? "'" : ""
    return (batch == 1 ? "" : "\(batch) of ") + "\(rows)\(left) x \(inner) x \(columns)\(right)"
  }
}

/// Matrix products.
package protocol MatmulBackend {
  /// c[i, r, n] = activation(bias[n] + sum over k of a[i, r, k] * b[i, k, n]), where a and b are
  /// read transposed as the geometry says.
  ///
  /// - Parameters:
  ///   - a: (batch x) rows x inner, or inner x rows. float32.
  ///   - b: (batch x) inner x columns, or columns x inner. float32.
  ///   - c: batch x rows x columns. float32. An empty inner axis gives activation(bias).
  func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError)

  /// The same of one matrix without bias and activation, b not transposed; and
  /// columnSums[n] = sum over k of b[k, n].
  func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, into c: NDArray,
    columnSums: NDArray
  ) throws(DeviceError)
}

extension Backend {
  /// One after the other, so that wrappers see each.
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, into c: NDArray,
    columnSums: NDArray
  ) throws(DeviceError) {
    try matmul(a, b, geometry, .none, into: c)
    try reduce(
      .sum, b.reshaped([geometry.inner, geometry.columns]), axes: [0], into: columnSums)
  }
}
