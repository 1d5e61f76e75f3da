internal import KeelBackend

/// Arrays of batch x columns, one for each time step (and part of a step), in one piece of memory.
///
/// Each slot starts aligned, so that a step's kernels are handed it like any array. Callers'
/// sequences have the batch as their outermost axis and are copied in and out.
struct TimeSlots {
  let memory: NDArray
  let steps: Int
  let parts: Int
  let batch: Int
  let columns: Int
  /// Elements from one slot to the next.
  private let stride: Int

  init(
    _ backend: any Backend, steps: Int, parts: Int = 1, batch: Int, columns: Int
  ) throws(DeviceError) {
    let unit = NDArray.alignment / DType.float32.byteCount
    self.steps = steps
    self.parts = parts
    self.batch = batch
    self.columns = columns
    stride = (batch * columns + unit - 1) / unit * unit
    memory = try backend.newArray([steps * parts * stride])
  }

  /// The array of a time step, or of one part of it.
  subscript(time: Int, part: Int = 0) -> NDArray {
    memory.view(offset: (time * parts + part) * stride, shape: [batch, columns])
  }

  /// Which axis is outermost in an array of all steps.
  enum Outermost {
    /// batch x steps x (parts * columns), as callers see sequences.
    case batch
    /// steps x batch x (parts * columns), the order of the slots.
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

  /// Copies slots of one part out, to one part of steps x batch x (count * columns).
  func store(
    into array: NDArray, part: Int, of count: Int, _ backend: any Backend
  ) throws(DeviceError) {
    try backend.stridedCopy(
      memory, inside(), into: array, outside(.time, part: part, of: count), extents: extents())
  }

  /// All slots as one matrix of (steps * batch) x columns, where nothing lies between them.
  var joined: NDArray? { parts == 1 && stride == batch * columns ? rows(0..<steps) : nil }

  /// The rows of some steps, one step after the other: (times * batch) x (parts * columns). Read
  /// only: it is a view of the slots where nothing lies between them, else a copy.
  func rows(of times: Range<Int>, _ backend: any Backend) throws(DeviceError) -> NDArray {
    if joined != nil { return rows(times) }
    let copy = try backend.newArray([times.count * batch, parts * columns])
    let inside = inside(from: times.lowerBound)
    try backend.stridedCopy(
      memory, inside, into: copy, outside(.time), extents: extents(times.count))
    return copy
  }

  private func rows(_ times: Range<Int>) -> NDArray {
    memory.view(offset: times.lowerBound * stride, shape: [times.count * batch, columns])
  }

  /// Copies batch x (parts * columns) into the parts of one time step.
  func load(step time: Int, _ array: NDArray, _ backend: any Backend) throws(DeviceError) {
    try backend.stridedCopy(
      array, together, into: memory, inside(of: time), extents: [parts, batch, columns])
  }

  /// Copies the parts of one time step out, to batch x (parts * columns).
  func store(step time: Int, into array: NDArray, _ backend: any Backend) throws(DeviceError) {
    try backend.stridedCopy(
      memory, inside(of: time), into: array, together, extents: [parts, batch, columns])
  }

  private func extents(_ times: Int? = nil) -> [Int] { [times ?? steps, parts, batch, columns] }

  private func inside(from time: Int = 0) -> StridedPattern {
    StridedPattern(offset: time * parts * stride, strides: [parts * stride, stride, columns, 1])
  }

  private func inside(of time: Int) -> StridedPattern {
    StridedPattern(offset: time * parts * stride, strides: [stride, columns, 1])
  }

  private var together: StridedPattern {
    StridedPattern(strides: [columns, parts * columns, 1])
  }

  private func outside(
    _ outermost: Outermost, part: Int = 0, of count: Int? = nil
  ) -> StridedPattern {
    let row = (count ?? parts) * columns
    return switch outermost {
    case .batch:
      StridedPattern(offset: part * columns, strides: [row, columns, steps * row, 1])
    case .time:
      StridedPattern(offset: part * columns, strides: [batch * row, columns, row, 1])
    }
  }
}
