/// Memory of one device. Each backend has its own class and only reads its own.
///
/// Memory returns to the device's pool when the last array on it is gone.
package protocol Storage: AnyObject, Sendable {
  var byteCount: Int { get }
}

/// A dense, row-major array on a device: a part of a ``Storage`` with a shape and an element type.
///
/// Copies share the memory. `byteOffset` is a multiple of ``alignment``, so that every device can
/// hand the part to a kernel on its own.
package struct NDArray: Sendable {
  /// Bytes to which every array and view starts aligned; covers every device seen.
  package static let alignment = 512

  package let storage: any Storage
  package let byteOffset: Int
  package let shape: Shape
  package let dtype: DType

  package init(storage: any Storage, byteOffset: Int = 0, shape: Shape, dtype: DType) {
    precondition(byteOffset % NDArray.alignment == 0)
    precondition(byteOffset + shape.count * dtype.byteCount <= storage.byteCount)
    self.storage = storage
    self.byteOffset = byteOffset
    self.shape = shape
    self.dtype = dtype
  }

  package var count: Int { shape.count }
  package var byteCount: Int { count * dtype.byteCount }

  /// The same elements under another shape of equal count.
  package func reshaped(_ shape: Shape) -> NDArray {
    precondition(shape.count == count)
    return NDArray(storage: storage, byteOffset: byteOffset, shape: shape, dtype: dtype)
  }

  /// The same elements as rows of the last axis: rows x columns.
  package var asRows: NDArray {
    let columns = shape.extents.last ?? 1
    return reshaped([columns == 0 ? 0 : count / columns, columns])
  }

  /// The elements from `offset` on, an aligned part of this array.
  package func view(offset: Int, shape: Shape) -> NDArray {
    NDArray(
      storage: storage, byteOffset: byteOffset + offset * dtype.byteCount, shape: shape,
      dtype: dtype)
  }

  /// The same memory as bytes.
  package var bytes: NDArray {
    NDArray(storage: storage, byteOffset: byteOffset, shape: [byteCount], dtype: .uint8)
  }

  /// Whether both are the same bytes of the same memory.
  package func isSameMemory(as other: NDArray) -> Bool {
    storage === other.storage && byteOffset == other.byteOffset && byteCount == other.byteCount
  }
}
