public import KeelBackend

extension Tensor {
  /// This tensor with elements of one value added before and after each axis.
  ///
  /// - Parameter widths: how many to add, for each axis, each at least 0.
  /// - Throws: ``TensorError/shape(_:)`` unless there is a pair for each axis, none negative.
  public func padded(
    _ widths: [(before: Int, after: Int)], value fill: Float = 0
  ) throws(TensorError) -> Tensor {
    let limit = Int(Int32.max)
    guard widths.count == shape.rank,
      widths.allSatisfy({ (0...limit).contains($0.before) && (0...limit).contains($0.after) })
    else {
      throw .shape(
        ShapeError(
          "padded", requires: "widths of 0 to \(limit) for each axis of the shape \(shape)",
          gotText: "\(widths.map { "\($0.before)+\($0.after)" })"))
    }
    let result = try usableShape(
      zip(shape.extents, widths).map { $0 + $1.before + $1.after }, "padded")
    let strides = result.strides
    let inside = StridedPattern(
      offset: zip(widths, strides).reduce(0) { $0 + $1.0.before * $1.1 }, strides: strides)
    let (x, backend, extents) = (value, backend, shape.extents)
    let dense = StridedPattern(dense: shape)
    return try record(.stridedCopy, [self], shape: result, dtype: dtype) {
      (y) throws(DeviceError) in
      if x.count < y.count { try backend.fill(y, with: fill) }
      if x.count > 0 { try backend.stridedCopy(x, dense, into: y, inside, extents: extents) }
    } pullback: { (dy, dx) throws(DeviceError) in
      guard let destination = dx[0] else { return }
      try backend.stridedCopy(dy, inside, into: destination, dense, extents: extents)
    }
  }

  /// The tensors one after the other along an axis.
  ///
  /// - Parameters:
  ///   - tensors: at least one; equal but for the extent of the axis, of one element type.
  ///   - axis: negative ones count from the end.
  /// - Throws: ``TensorError/shape(_:)`` unless the tensors fit.
  public static func concatenate(
    _ tensors: [Tensor], axis: Int
  ) throws(TensorError) -> Tensor {
    guard let first = tensors.first else {
      throw .shape(ShapeError("concatenate", requires: "at least one tensor", gotText: "none"))
    }
    try requireOneDevice("concatenate", tensors)
    let axis = try first.shape.resolve(axis: axis, "concatenate")
    var extents = first.shape.extents
    // Numbers of different precision meet in float32.
    if tensors.contains(where: { $0.dtype != first.dtype }), tensors.allSatisfy(\.dtype.isFloat) {
      var wide: [Tensor] = []
      for tensor in tensors { wide.append(try tensor.cast(to: .float32)) }
      return try concatenate(wide, axis: axis)
    }
    for tensor in tensors.dropFirst() {
      guard tensor.dtype == first.dtype else {
        throw .shape(
          ShapeError(
            "concatenate", requires: "one element type",
            gotText: "\(first.dtype) and \(tensor.dtype)"
          ))
      }
      guard tensor.shape.rank == extents.count,
        extents.indices.allSatisfy({ $0 == axis || tensor.shape[$0] == extents[$0] })
      else {
        throw .shape(
          ShapeError(
            "concatenate",
            requires: "equal extents but for axis \(axis)"
              + first.shape.axisDifference(from: tensor.shape, exceptAxis: axis),
            got: first.shape, tensor.shape))
      }
      extents[axis] += tensor.shape[axis]
    }
    return try join(tensors, axis: axis, try usableShape(extents, "concatenate"))
  }

  private static func join(
    _ tensors: [Tensor], axis: Int, _ result: Shape
  ) throws(TensorError) -> Tensor {
    let strides = result.strides
    let backend = tensors[0].backend
    var start = 0
    var parts: [(array: NDArray, inside: StridedPattern)] = []
    for tensor in tensors {
      parts.append(
        (tensor.value, StridedPattern(offset: start * strides[axis], strides: strides)))
      start += tensor.shape[axis]
    }
    let shapes = tensors.map(\.shape)
    let insides = parts.map(\.inside)
    return try record(.stridedCopy, tensors, shape: result, dtype: tensors[0].dtype) {
      (y) throws(DeviceError) in
      for part in parts where part.array.count > 0 {
        try backend.stridedCopy(
          part.array, StridedPattern(dense: part.array.shape), into: y, part.inside,
          extents: part.array.shape.extents)
      }
    } pullback: { (dy, dx) throws(DeviceError) in
      for (position, shape) in shapes.enumerated() {
        guard let destination = dx[position] else { continue }
        try backend.stridedCopy(
          dy, insides[position], into: destination, StridedPattern(dense: shape),
          extents: shape.extents)
      }
    }
  }
}
