internal import KeelBackend

/// Arrays of batch x columns, one for each time step (and part of a step), in one piece of memory.
///
/// Each slot starts aligned, so that a step's kernels are handed it like any array. What comes in
/// and goes out for all steps at once has the batch as its outermost axis and is copied.
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

  /// Copies batch x steps x (parts * columns) in.
  func load(_ array: NDArray, _ backend: any Backend) throws(DeviceError) {
    try backend.stridedCopy(array, outside(), into: memory, inside, extents: extents)
  }

  /// Copies all slots out, to batch x steps x (parts * columns).
  func store(into array: NDArray, _ backend: any Backend) throws(DeviceError) {
    try backend.stridedCopy(memory, inside, into: array, outside(), extents: extents)
  }

  /// Copies slots of one part out, to one part of batch x steps x (count * columns).
  func store(
    into array: NDArray, part: Int, of count: Int, _ backend: any Backend
  ) throws(DeviceError) {
    try backend.stridedCopy(
      memory, inside, into: array, outside(part: part, of: count), extents: extents)
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

  private var extents: [Int] { [steps, parts, batch, columns] }

  private var inside: StridedPattern {
    StridedPattern(strides: [parts * stride, stride, columns, 1])
  }

  private func inside(of time: Int) -> StridedPattern {
    StridedPattern(offset: time * parts * stride, strides: [stride, columns, 1])
  }

  private var together: StridedPattern {
    StridedPattern(strides: [columns, parts * columns, 1])
  }

  private func outside(part: Int = 0, of count: Int? = nil) -> StridedPattern {
    let row = (count ?? parts) * columns
    return StridedPattern(offset: part * columns, strides: [row, columns, steps * row, 1])
  }
}
