import KeelBackend

/// What a pullback keeps of a tensor that it will read again: the elements, or, of large results
/// that take one pass to make (``Tensor/remake``), how to make them.
///
/// An array that is made again is not there from its last use on the way forward to its first on
/// the way back, which is when a step takes the most memory. Where somebody else keeps the elements
/// all the same, they are read.
struct KeptArray {
  /// Bytes from which on results are made again: below, a cache holds them when they are read, and
  /// together they are a small part of a step's memory.
  static let smallestRemade = 8 << 20

  private let kept: NDArray?
  private let remake: Tensor.Remake?
  private weak var storage: (any Storage)?
  private let (byteOffset, shape, dtype): (Int, Shape, DType)

  init(_ tensor: Tensor) {
    let array = tensor.value
    (byteOffset, shape, dtype) = (array.byteOffset, array.shape, array.dtype)
    if let remake = tensor.remake, array.byteCount >= KeptArray.smallestRemade {
      (self.remake, storage, kept) = (remake, array.storage, nil)
    } else {
      (remake, kept) = (nil, array)
    }
  }

  /// The elements; made anew if nobody has them.
  func array() throws(DeviceError) -> NDArray {
    if let kept { return kept }
    if let storage {
      return NDArray(storage: storage, byteOffset: byteOffset, shape: shape, dtype: dtype)
    }
    guard let remake else { preconditionFailure("neither elements nor a way to make them") }
    return try remake()
  }
}
