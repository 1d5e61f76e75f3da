public import KeelBackend

extension Tensor {
  /// The same elements, in the same order, under another shape. Nothing is copied.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shape has as many elements.
  public func reshaped(_ shape: Shape) throws(TensorError) -> Tensor {
    try reshape("reshaped", shape)
  }

  /// This tensor with all axes from one on joined into one: batch x height x width x channels
  /// becomes batch x features. Nothing is copied.
  ///
  /// - Parameter fromAxis: in 0 ... rank; at the rank an axis of extent 1 is added.
  /// - Throws: ``TensorError/shape(_:)`` for an axis that is not there.
  public func flattened(fromAxis: Int = 1) throws(TensorError) -> Tensor {
    let axis = fromAxis < 0 ? fromAxis + shape.rank : fromAxis
    try require(
      (0...shape.rank).contains(axis), "flattened", "an axis of the shape \(shape)",
      got: "axis \(fromAxis)")
    let joined = shape.extents[axis...].reduce(1, *)
    return try reshape("flattened", Shape(shape.extents[..<axis] + [joined]))
  }

  private func reshape(_ operation: String, _ shape: Shape) throws(TensorError) -> Tensor {
    try requireUsable(shape, operation)
    guard shape.count == self.shape.count else {
      throw .shape(
        ShapeError(
          operation, requires: "equal numbers of elements", got: self.shape, shape))
    }
    return attach(.stridedCopy, [self], value.reshaped(shape), links: [.passes])
  }

  /// This tensor with its axes in another order: result axis i is axis permutation[i].
  ///
  /// - Parameter permutation: each axis once; nil reverses them (the transpose of a matrix).
  /// - Throws: ``TensorError/shape(_:)`` unless each axis occurs once.
  public func transposed(_ permutation: [Int]? = nil) throws(TensorError) -> Tensor {
    let order = permutation ?? (0..<shape.rank).reversed()
    guard order.sorted() == Array(0..<shape.rank) else {
      throw .shape(
        ShapeError(
          "transposed", requires: "each axis of the shape \(shape) once", gotText: "\(order)"))
    }
    let (x, backend) = (value, backend)
    let own = shape.strides
    let source = StridedPattern(strides: order.map { own[$0] })
    let result = Shape(order.map { shape[$0] })
    let dense = StridedPattern(dense: result)
    return try record(.stridedCopy, [self], shape: result, dtype: dtype) {
      (y) throws(DeviceError) in
      try backend.stridedCopy(x, source, into: y, dense, extents: result.extents)
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.stridedCopy(dy, dense, into: destination, source, extents: result.extents)
    }
  }

  /// The elements within a range of each axis, every step-th of them.
  ///
  /// Result extent = ceil(range count / step).
  ///
  /// - Parameters:
  ///   - ranges: one for each axis, within its extent.
  ///   - steps: one for each axis, at least 1; nil means 1.
  /// - Throws: ``TensorError/shape(_:)`` for ranges outside the shape and steps below 1.
  public func sliced(
    _ ranges: [Range<Int>], steps: [Int]? = nil
  ) throws(TensorError) -> Tensor {
    let steps = steps ?? ranges.map { _ in 1 }
    guard ranges.count == shape.rank, steps.count == shape.rank,
      zip(ranges, shape.extents).allSatisfy({ $0.lowerBound >= 0 && $0.upperBound <= $1 })
    else {
      throw .shape(
        ShapeError(
          "sliced", requires: "a range and a step within each axis of the shape \(shape)",
          gotText: "\(ranges)"))
    }
    try require(
      steps.allSatisfy { $0 >= 1 }, "sliced", "steps of at least 1", got: steps)
    let result = Shape(
      zip(ranges, steps).map { range, step in range.isEmpty ? 0 : (range.count - 1) / step + 1 })
    let own = shape.strides
    // A step beyond the range takes one element; its stride, which may overflow, is never used.
    let source = StridedPattern(
      offset: zip(ranges, own).reduce(0) { $0 + $1.0.lowerBound * $1.1 },
      strides: own.indices.map { result[$0] > 1 ? own[$0] * steps[$0] : own[$0] })
    return try copyPart(source, result)
  }

  /// The elements of a pattern as a dense tensor. Its gradient is 0 outside the pattern.
  private func copyPart(
    _ source: StridedPattern, _ result: Shape
  ) throws(TensorError) -> Tensor {
    let (x, backend) = (value, backend)
    let dense = StridedPattern(dense: result)
    let isWhole = result.count == shape.count
    return try record(.stridedCopy, [self], shape: result, dtype: dtype) {
      (y) throws(DeviceError) in
      try backend.stridedCopy(x, source, into: y, dense, extents: result.extents)
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      if !isWhole { try backend.fill(destination, with: 0) }
      try backend.stridedCopy(dy, dense, into: destination, source, extents: result.extents)
    }
  }

  /// This tensor stretched to a shape by NumPy's rule: aligned at the last axis, extents of 1
  /// repeat. The gradient is the sum over what was repeated.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the shape can be reached so.
  public func broadcast(to target: Shape) throws(TensorError) -> Tensor {
    try requireUsable(target, "broadcast")
    guard shape.broadcast(with: target) == target else {
      throw .shape(
        ShapeError(
          "broadcast",
          requires: "a shape that stretches to the target"
            + shape.axisDifference(whenBroadcastWith: target), got: shape, target))
    }
    let (x, backend) = (value, backend)
    if target.count == shape.count { return try reshape("broadcast", target) }
    let source = StridedPattern(strides: shape.broadcastStrides(to: target))
    return try record(.stridedCopy, [self], shape: target, dtype: dtype) {
      (y) throws(DeviceError) in
      try backend.stridedCopy(
        x, source, into: y, StridedPattern(dense: target), extents: target.extents)
    } pullback: { (dy, dx) throws(DeviceError) in
      if let destination = dx[0] { try backend.sumStretched(dy, into: destination) }
    }
  }
}
