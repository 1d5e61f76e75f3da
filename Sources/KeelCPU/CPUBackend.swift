package import KeelBackend
internal import Synchronization

/// The CPU as a device: oneDNN for matrix products and convolutions, loops in C for the rest.
///
/// Every method does its work before it returns, on all cores.
package final class CPUBackend: Backend {
  package let info: DeviceDescription
  let memory: CPUMemory
  let dnn: OneDNN
  let pointwisePlans = PointwisePlans()
  private let launches = Atomic<Int>(0)
  private let reads = Atomic<Int>(0)

  /// - Throws: ``DeviceError/callFailed(function:status:)`` if oneDNN does not start.
  package init() throws(DeviceError) {
    info = .host()
    memory = CPUMemory(limit: info.memoryBytes)
    dnn = try OneDNN()
  }

  package func resetPeakBytes() { memory.resetPeakBytes() }

  package var counters: DeviceCounters {
    var counters = memory.counters
    counters.launches = launches.load(ordering: .relaxed)
    counters.blockingReads = reads.load(ordering: .relaxed)
    return counters
  }

  /// Counts one operation; every operation calls it first.
  func countLaunch() { launches.wrappingAdd(1, ordering: .relaxed) }

  /// Memory that an operation needs while it runs; it goes back to the pool afterwards.
  func scratch<Element: BitwiseCopyable>(
    _ count: Int, of type: Element.Type
  ) throws(DeviceError) -> CPUStorage {
    try memory.take(count * MemoryLayout<Element>.stride)
  }

  package func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray {
    var bytes = dtype.byteCount
    for extent in shape.extents {
      let (product, overflows) = bytes.multipliedReportingOverflow(by: extent)
      guard !overflows else {
        throw .outOfMemory(requested: .max, available: info.memoryBytes)
      }
      bytes = product
    }
    return NDArray(storage: try memory.take(bytes), shape: shape, dtype: dtype)
  }

  package func upload(
    _ bytes: UnsafeRawBufferPointer, to array: NDArray
  ) throws(DeviceError) {
    precondition(bytes.count == array.byteCount)
    guard let source = bytes.baseAddress else { return }
    array.pointer(as: UInt8.self).update(
      from: source.assumingMemoryBound(to: UInt8.self), count: bytes.count)
  }

  package func download(
    _ array: NDArray, to bytes: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    precondition(bytes.count == array.byteCount)
    reads.wrappingAdd(1, ordering: .relaxed)
    guard let destination = bytes.baseAddress else { return }
    destination.copyMemory(from: array.pointer(as: UInt8.self), byteCount: bytes.count)
  }

  /// Nothing to wait for: operations finish before they return.
  package func synchronize() throws(DeviceError) {}

  package func hostMemory(of array: NDArray) -> UnsafeMutableRawBufferPointer? {
    UnsafeMutableRawBufferPointer(start: array.pointer(as: UInt8.self), count: array.byteCount)
  }
}
