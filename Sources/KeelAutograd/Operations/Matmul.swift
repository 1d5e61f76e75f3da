public import KeelBackend

extension Tensor {
  /// The matrix product: result[…, r, c] = sum over k of a[…, r, k] * b[…, k, c].
  ///
  /// The last two axes are matrices; the axes before them are batches and broadcast by NumPy's
  /// rule. With G the gradient that arrives: da = G bᵀ, db = aᵀ G, summed over stretched batches.
  ///
  /// - Parameters:
  ///   - transposeLeft: whether this tensor's matrices are stored inner x rows.
  ///   - transposeRight: whether the other's matrices are stored columns x inner.
  /// - Throws: ``TensorError/shape(_:)`` unless both have two axes or more, equal inner extents and
  ///   batch axes that broadcast.
  public func matmul(
    _ other: Tensor, transposeLeft: Bool = false, transposeRight: Bool = false
  ) throws(TensorError) -> Tensor {
    let plan = try MatmulPlan(self, other, transposeLeft, transposeRight)
    let (a, b, backend) = (value, other.value, backend)
    let type = dtype == other.dtype ? dtype : .float32
    return try record(.matmul, [self, other], shape: plan.result, dtype: type) {
      (c) throws(DeviceError) in
      try backend.matmul(
        try plan.left.spread(a, backend), try plan.right.spread(b, backend), plan.geometry, .none,
        into: c)
    } pullback: { (dc, dx) throws(DeviceError) in
      if let da = dx[0] { try plan.pullLeft(b, dc, into: da, backend) }
      if let db = dx[1] { try plan.pullRight(a, dc, into: db, backend) }
    }
  }
}

/// How one operand's batches meet those of the product.
private struct MatmulOperand {
  /// The operand's own shape.
  let shape: Shape
  /// The product's batch extents.
  let batch: [Int]

  var matrix: [Int] { Array(shape.extents.suffix(2)) }
  var ownBatch: [Int] { Array(shape.extents.dropLast(2)) }
  /// Whether one matrix serves all batches.
  var isShared: Bool { ownBatch.allSatisfy { $0 == 1 } }
  /// Whether some but not all batch axes are stretched: kernels know no such strides.
  var isPartlyStretched: Bool {
    !isShared && Shape(ownBatch).count != Shape(batch).count
  }
  var spreadShape: Shape { Shape(batch + matrix) }

  /// The operand as kernels want it: one matrix, or one for each batch.
  func spread(_ array: NDArray, _ backend: any Backend) throws(DeviceError) -> NDArray {
    guard isPartlyStretched else { return array }
    let copy = try backend.newArray(spreadShape, array.dtype)
    try backend.stridedCopy(
      array, StridedPattern(strides: shape.broadcastStrides(to: spreadShape)), into: copy,
      StridedPattern(dense: spreadShape), extents: spreadShape.extents)
    return copy
  }

  /// Whether a gradient for each batch must be summed to become the operand's.
  var needsSum: Bool { Shape(ownBatch).count != Shape(batch).count }
}

private struct MatmulPlan {
  let left: MatmulOperand
  let right: MatmulOperand
  let geometry: MatmulGeometry
  let result: Shape
  /// Whether all left batches are rows of one product with the one right matrix.
  let isFolded: Bool

  init(
    _ a: Tensor, _ b: Tensor, _ transposeLeft: Bool, _ transposeRight: Bool
  ) throws(TensorError) {
    try requireFloat("matmul", a, b)
    try requireOneDevice("matmul", [a, b])
    guard a.shape.rank >= 2, b.shape.rank >= 2 else {
      throw .shape(ShapeError("matmul", requires: "two axes or more", got: a.shape, b.shape))
    }
    let (aMatrix, bMatrix) = (a.shape.extents.suffix(2), b.shape.extents.suffix(2))
    let (rows, inner) = (
      transposeLeft ? aMatrix.last : aMatrix.first, transposeLeft ? aMatrix.first : aMatrix.last
    )
    let (innerRight, columns) = (
      transposeRight ? bMatrix.last : bMatrix.first, transposeRight ? bMatrix.first : bMatrix.last
    )
    guard let rows, let inner, let columns, inner == innerRight else {
      let axes = (
        a.shape.rank - (transposeLeft ? 2 : 1), b.shape.rank - (transposeRight ? 1 : 2)
      )
      throw .shape(
        ShapeError(
          "matmul",
          requires: "equal inner extents; axis \(axes.0) of the left is \(a.shape[axes.0]), "
            + "axis \(axes.1) of the right \(b.shape[axes.1])",
          got: a.shape, b.shape))
    }
    let aBatch = Shape(a.shape.extents.dropLast(2))
    let bBatch = Shape(b.shape.extents.dropLast(2))
    guard let batch = aBatch.broadcast(with: bBatch) else {
      throw .shape(
        ShapeError(
          "matmul",
          requires: "batch axes that broadcast" + aBatch.axisDifference(whenBroadcastWith: bBatch),
          got: a.shape, b.shape))
    }
    left = MatmulOperand(shape: a.shape, batch: batch.extents)
    right = MatmulOperand(shape: b.shape, batch: batch.extents)
    result = try usableShape(batch.extents + [rows, columns], "matmul")
    try requireUsable(left.spreadShape, "matmul")
    try requireUsable(right.spreadShape, "matmul")
    isFolded = right.isShared && !transposeLeft && !left.needsSum
    geometry = MatmulGeometry(
      batch: isFolded ? 1 : batch.count, rows: isFolded ? rows * batch.count : rows, inner: inner,
      columns: columns, transposeLeft: transposeLeft, transposeRight: transposeRight,
      sharesLeft: left.isShared, sharesRight: right.isShared)
  }

  /// da = dc bᵀ, or its transpose b dcᵀ where a is stored transposed.
  func pullLeft(
    _ b: NDArray, _ dc: NDArray, into da: NDArray, _ backend: any Backend
  ) throws(DeviceError) {
    let b = try right.spread(b, backend)
    try pull(left, into: da, backend) { (out) throws(DeviceError) in
      if geometry.transposeLeft {
        let product = MatmulGeometry(
          batch: geometry.batch, rows: geometry.inner, inner: geometry.columns,
          columns: geometry.rows, transposeLeft: geometry.transposeRight, transposeRight: true,
          sharesLeft: right.isShared)
        try backend.matmul(b, dc, product, .none, into: out)
      } else {
        let product = MatmulGeometry(
          batch: geometry.batch, rows: geometry.rows, inner: geometry.columns,
          columns: geometry.inner, transposeRight: !geometry.transposeRight,
          sharesRight: right.isShared)
        try backend.matmul(dc, b, product, .none, into: out)
      }
    }
  }

  /// db = aᵀ dc, or its transpose dcᵀ a where b is stored transposed.
  func pullRight(
    _ a: NDArray, _ dc: NDArray, into db: NDArray, _ backend: any Backend
  ) throws(DeviceError) {
    let a = try left.spread(a, backend)
    let writes = { (out: NDArray) throws(DeviceError) in
      if geometry.transposeRight {
        let product = MatmulGeometry(
          batch: geometry.batch, rows: geometry.columns, inner: geometry.rows,
          columns: geometry.inner, transposeLeft: true, transposeRight: geometry.transposeLeft,
          sharesRight: left.isShared)
        try backend.matmul(dc, a, product, .none, into: out)
      } else {
        let product = MatmulGeometry(
          batch: geometry.batch, rows: geometry.inner, inner: geometry.rows,
          columns: geometry.columns, transposeLeft: !geometry.transposeLeft,
          sharesLeft: left.isShared)
        try backend.matmul(a, dc, product, .none, into: out)
      }
    }
    // Folded batches are rows: the product over rows already is the sum over batches.
    if isFolded { return try writes(db) }
    try pull(right, into: db, backend, writes)
  }

  /// Writes an operand's gradient, through one for each batch where that must be summed.
  private func pull(
    _ operand: MatmulOperand, into destination: NDArray, _ backend: any Backend,
    _ write: (NDArray) throws(DeviceError) -> Void
  ) throws(DeviceError) {
    guard operand.needsSum else { return try write(destination) }
    let perBatch = try backend.newArray(operand.spreadShape)
    try write(perBatch)
    try backend.sumStretched(perBatch, into: destination)
  }
}
