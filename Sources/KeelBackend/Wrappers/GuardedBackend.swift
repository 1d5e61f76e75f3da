internal import Synchronization

/// A device whose every allocation lies between sentinels, checked after each operation on its
/// outputs: a kernel that writes outside its output is named at once.
///
/// Fresh memory is filled with a pattern that reads as NaN, so that an operation which relies on
/// zeroed memory shows. For tests: every check waits for the device.
package final class GuardedBackend: InterceptingBackend {
  package let inner: any Backend
  private let allocations = Mutex<[ObjectIdentifier: Allocation]>([:])

  /// Bytes of sentinels on each side.
  private static let margin = NDArray.alignment
  private static let sentinel: UInt8 = 0xA5
  private static let garbage: UInt8 = 0xFF

  /// Weak, because the array that the caller holds owns the memory.
  private struct Allocation: Sendable {
    weak var storage: (any Storage)?
    var payload: Int
  }

  package init(_ inner: any Backend) { self.inner = inner }

  package func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray {
    let payload = shape.count * dtype.byteCount
    let margin = GuardedBackend.margin
    let whole = try inner.allocate([margin + payload + margin], .uint8)
    var bytes = [UInt8](repeating: GuardedBackend.sentinel, count: whole.byteCount)
    for position in margin..<(margin + payload) { bytes[position] = GuardedBackend.garbage }
    try inner.upload(bytes, to: whole)
    allocations.withLock { table in
      if table.count >= 4096 { table = table.filter { $0.value.storage != nil } }
      table[ObjectIdentifier(whole.storage)] = Allocation(
        storage: whole.storage, payload: payload)
    }
    return NDArray(storage: whole.storage, byteOffset: margin, shape: shape, dtype: dtype)
  }

  package func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError) {
    try body(inner, inputs, outputs)
    for output in outputs where try !isIntact(output.storage) {
      throw .guardOverwritten(operation: method)
    }
  }

  /// Whether the sentinels on both sides of an allocation are as they were written.
  private func isIntact(_ storage: any Storage) throws(DeviceError) -> Bool {
    let known = allocations.withLock { $0[ObjectIdentifier(storage)] }
    guard let known, known.storage === storage else { return true }
    let margin = GuardedBackend.margin
    let head = NDArray(storage: storage, shape: [margin], dtype: .uint8)
    // Views start aligned: the tail is read from the last aligned byte of the payload on.
    let end = margin + known.payload
    let start = end / margin * margin
    let tail = NDArray(
      storage: storage, byteOffset: start, shape: [end + margin - start], dtype: .uint8)
    let before: [UInt8] = try inner.scalars(head)
    let after: [UInt8] = try inner.scalars(tail)
    return before.allSatisfy { $0 == GuardedBackend.sentinel }
      && after[(end - start)...].allSatisfy { $0 == GuardedBackend.sentinel }
  }
}
