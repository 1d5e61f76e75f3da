/// A regular pattern of elements in an array's memory: element (i, j, …) is at
/// offset + i * strides[0] + j * strides[1] + …. Strides may be 0 (read only) or negative.
package struct StridedPattern: Hashable, Sendable {
  package var offset: Int
  package var strides: [Int]

  package init(offset: Int = 0, strides: [Int]) {
    self.offset = offset
    self.strides = strides
  }

  /// All elements of a dense array, in order.
  package init(dense shape: Shape) { self.init(strides: shape.strides) }
}

/// Setting all elements.
package protocol FillBackend {
  /// out[i] = value, converted to the element type.
  func fill(_ out: NDArray, with value: Float) throws(DeviceError)
}

/// Copying between regular patterns: what transpose, slice, pad, concatenate and broadcast are.
package protocol StridedCopyBackend {
  /// out[destination(i)] = x[source(i)] for every index i within `extents`.
  ///
  /// Elements of `out` outside the pattern keep their values. No two indices share a destination.
  ///
  /// - Parameters:
  ///   - extents: the extents of the index, at most ``Shape/maximumRank`` axes.
  ///   - x, out: equal element types.
  func stridedCopy(
    _ x: NDArray, _ source: StridedPattern, into out: NDArray, _ destination: StridedPattern,
    extents: [Int]
  ) throws(DeviceError)
}
