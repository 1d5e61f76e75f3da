public import KeelBackend

extension Tensor {
  /// The slices at the given positions of an axis: with this tensor outer x extent x inner,
  /// result[o, k, i] = x[o, indices[k], i]; 0 where an index is outside 0 ..< extent.
  ///
  /// The gradient adds up, in a fixed order, what came from equal indices.
  ///
  /// - Parameters:
  ///   - indices: int32, of any shape, which takes the place of the axis.
  ///   - axis: negative ones count from the end.
  /// - Throws: ``TensorError/shape(_:)`` for other element types, an axis that is not there, or too
  ///   many axes in the result.
  public func gather(_ indices: Tensor, axis: Int = 0) throws(TensorError) -> Tensor {
    try requireFloat("gather", self)
    try requireInt32("gather", "indices", indices)
    try requireOneDevice("gather", [self, indices])
    let axis = try shape.resolve(axis: axis, "gather")
    let (before, after) = (shape.extents[..<axis], shape.extents[(axis + 1)...])
    let result = try usableShape(before + indices.shape.extents + after, "gather")
    let (outer, extent, inner) = (before.reduce(1, *), shape[axis], after.reduce(1, *))
    let (x, positions, backend) = (value, indices.value, backend)
    return try record(.gather, [self, indices], shape: result, dtype: dtype) {
      (y) throws(DeviceError) in
      if extent == 0 {
        try backend.fill(y, with: 0)
      } else {
        try backend.gather(x, positions, outer: outer, extent: extent, inner: inner, into: y)
      }
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.gatherGradient(
        upstream: dy, positions, outer: outer, extent: extent, inner: inner, into: destination)
    }
  }

  /// Each index as a row: result[…, c] = 1 where x[…] = c, else 0; a row of zeros for an index
  /// outside. Shape: this one with `classes` as a further axis. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the elements are int32 and classes at least 1.
  public func oneHot(classes: Int) throws(TensorError) -> Tensor {
    try requireInt32("oneHot", "indices", self)
    try require(classes >= 1, "oneHot", "at least one class", got: classes)
    let result = try usableShape(shape.extents + [classes], "oneHot")
    let (indices, backend) = (value, backend)
    return try record(.oneHot, [self], shape: result) { (y) throws(DeviceError) in
      try backend.oneHot(indices, into: y)
    }
  }
}
