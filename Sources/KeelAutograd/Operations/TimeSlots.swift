internal import KeelBackend

/// Arrays of batch x columns, one for each time step, in one piece of memory.
///
/// Each slot starts aligned, so that a step's kernels are handed it like any array. Callers'
/// sequences have the batch as their outermost axis and are copied in and out.
struct TimeSlots {
  let memory: NDArray
  let steps: Int
  let batch: Int
  let columns: Int
  /// Elements from one slot to the next.
  private let stride: Int

  init(
    _ backend: any Backend, steps: Int, batch: Int, columns: Int
  ) throws(DeviceError) {
    let unit = NDArray.alignment / DType.float32.byteCount
    self.steps = steps
    self.batch = batch
    self.columns = columns
    stride = (batch * columns + unit - 1) / unit * unit
    memory = try backend.newArray([steps * stride])
  }

  /// The array of a time step.
  subscript(time: Int) -> NDArray {
    memory.view(offset: time * stride, shape: [batch, columns])
  }

  /// Which axis is outermost in an array of all steps.
  enum Outermost {
    /// batch x steps x columns, as callers see sequences.
    case batch
    /// steps x batch x columns, the order of the slots.
    case time
  }

  /// Copies all slots in.
  func load(
    _ array: NDArray, outermost: Outermost, _ backend: any Backend
  ) throws(DeviceError) {
    try backend.stridedCopy(array, outside(outermost), into: memory, inside(), extents: extents())
  }

  /// Copies all slots out.
  func store(
    into array: NDArray, outermost: Outermost, _ backend: any Backend
  ) throws(DeviceError) {
    try backend.stridedCopy(memory, inside(), into: array, outside(outermost), extents: extents())
  }

  /// All slots as one matrix of (steps * batch) x columns, where nothing lies between them.
  var joined: NDArray? { stride == batch * columns ? rows(0..<steps) : nil }

  /// The rows of some steps, one step after the other: (times * batch) x columns. Read only: it is
  /// a view of the slots where nothing lies between them, else a copy.
  func rows(of times: Range<Int>, _ backend: any Backend) throws(DeviceError) -> NDArray {
    if joined != nil { return rows(times) }
    let copy = try backend.newArray([times.count * batch, columns])
    try backend.stridedCopy(
      memory, inside(from: times.lowerBound), into: copy, outside(.time),
      extents: extents(times.count))
    return copy
  }

  private func rows(_ times: Range<Int>) -> NDArray {
    memory.view(offset: times.lowerBound * stride, shape: [times.count * batch, columns])
  }

  private func extents(_ times: Int? = nil) -> [Int] { [times ?? steps, batch, columns] }

  private func inside(from time: Int = 0) -> StridedPattern {
    StridedPattern(offset: time * stride, strides: [stride, columns, 1])
  }

  private func outside(_ outermost: Outermost) -> StridedPattern {
    switch outermost {
    case .batch: StridedPattern(strides: [columns, steps * columns, 1])
    case .time: StridedPattern(strides: [batch * columns, columns, 1])
    }
  }
}
