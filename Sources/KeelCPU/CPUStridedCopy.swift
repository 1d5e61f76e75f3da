internal import CKeelLoops
package import KeelBackend

extension CPUBackend: StridedCopyBackend {
  package func stridedCopy(
    _ x: NDArray, _ source: StridedPattern, into out: NDArray, _ destination: StridedPattern,
    extents: [Int]
  ) throws(DeviceError) {
    countLaunch()
    guard !extents.contains(0) else { return }
    var plan = CopyPlan(extents, source.strides, destination.strides)
    plan.makeLastTwoAxesATile()
    let call = plan.call
    let columns = plan.extents[plan.extents.count - 1]
    let rows = plan.extents.dropLast().reduce(1, *)
    // Whole tiles of 32 rows where there are that many.
    let part = max(1, partSize / columns) / 32 * 32
    withUnsafePointer(to: call) { call in
      inParts(of: max(1, part), rows) { begin, end in
        switch x.dtype.byteCount {
        case 4:
          keel_strided_copy4(
            call, x.pointer(as: UInt32.self) + source.offset,
            out.pointer(as: UInt32.self) + destination.offset, begin, end)
        case 2:
          keel_strided_copy2(
            call, x.pointer(as: UInt16.self) + source.offset,
            out.pointer(as: UInt16.self) + destination.offset, begin, end)
        default:
          keel_strided_copy1(
            call, x.pointer(as: UInt8.self) + source.offset,
            out.pointer(as: UInt8.self) + destination.offset, begin, end)
        }
      }
    }
  }
}

/// The axes of a copy in an order that suits memory: any order copies the same elements.
private struct CopyPlan {
  private(set) var extents: [Int]
  private var source: [Int]
  private var destination: [Int]

  init(_ extents: [Int], _ source: [Int], _ destination: [Int]) {
    // The destination is walked in ascending order, so that writes follow each other.
    let order = extents.indices.sorted {
      (destination[$0].magnitude, -$0) > (destination[$1].magnitude, -$1)
    }
    let merged = mergingAxes(
      order.map { extents[$0] }, [order.map { source[$0] }, order.map { destination[$0] }])
    self.extents = merged.extents
    self.source = merged.strides[0]
    self.destination = merged.strides[1]
  }

  /// The last axis is contiguous in the destination; the one before it becomes the one that is
  /// contiguous in the source. One long axis is cut in two.
  mutating func makeLastTwoAxesATile() {
    let last = extents.count - 1
    if last == 0 { return splitOnlyAxis() }
    guard source[last] != 1, let contiguous = source.firstIndex(of: 1) else { return }
    extents.swapAt(contiguous, last - 1)
    source.swapAt(contiguous, last - 1)
    destination.swapAt(contiguous, last - 1)
  }

  private mutating func splitOnlyAxis() {
    let length = extents[0]
    var columns = length
    // The largest row of at most a part that divides the length, if it is not too short.
    if length > 2 * partSize {
      columns = (partSize / 8...partSize).reversed().first { length % $0 == 0 } ?? length
    }
    extents = [length / columns, columns]
    source = [columns * source[0], source[0]]
    destination = [columns * destination[0], destination[0]]
  }

  var call: keel_strided_copy {
    var call = keel_strided_copy()
    call.rank = extents.count
    store(extents, in: &call.extents)
    store(source, in: &call.source)
    store(destination, in: &call.destination)
    return call
  }
}
