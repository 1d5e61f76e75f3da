import KeelBackend

/// A device in plain loops, on one thread, that writes down what it was asked to do. It lets the
/// tests of the tape see which operations a pass runs and where it lets them write.
///
/// Arithmetic is in Double and rounded once for each result.
final class ReferenceBackend: Backend {
  /// What was called, in order.
  var calls: [String] { state.calls }
  /// Where each call wrote.
  var destinations: [NDArray] { state.destinations }
  func resetPeakBytes() {}

  var counters: DeviceCounters { state.counters }

  /// Forgets earlier calls and writes down those that follow. The destinations stay alive.
  func record() {
    state.isRecording = true
    state.calls = []
    state.destinations = []
  }

  let info = DeviceDescription(
    selector: "reference", name: "plain loops", vendor: "", platform: "", driver: "", version: "",
    kind: .cpu, memoryBytes: 1 << 30, computeUnits: 1)

  final class State {
    var isRecording = false
    var calls: [String] = []
    var destinations: [NDArray] = []
    var counters = DeviceCounters()
  }
  // Safe: each test has its own backend and uses it from one task.
  private nonisolated(unsafe) let state = State()

  final class Memory: Storage {
    let byteCount: Int
    // Safe: see `state`.
    nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer
    // Safe: see `state`.
    private nonisolated(unsafe) let state: State

    init(byteCount: Int, _ state: State) {
      self.byteCount = byteCount
      self.state = state
      bytes = .allocate(byteCount: byteCount, alignment: 64)
      // Not zero: what an operation forgets to write shows as NaN.
      bytes.initializeMemory(as: UInt8.self, repeating: 0xFF)
      state.counters.liveBytes += byteCount
      state.counters.peakBytes = max(state.counters.peakBytes, state.counters.liveBytes)
    }
    deinit {
      state.counters.liveBytes -= byteCount
      bytes.deallocate()
    }
  }

  func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray {
    precondition(shape.count > 0)
    state.counters.allocations += 1
    let memory = Memory(byteCount: shape.count * dtype.byteCount, state)
    return NDArray(storage: memory, shape: shape, dtype: dtype)
  }
  func upload(_ bytes: UnsafeRawBufferPointer, to array: NDArray) throws(DeviceError) {
    memory(array).copyMemory(from: bytes)
  }
  func download(_ array: NDArray, to bytes: UnsafeMutableRawBufferPointer) throws(DeviceError) {
    state.counters.blockingReads += 1
    bytes.copyMemory(from: UnsafeRawBufferPointer(memory(array)))
  }
  func synchronize() throws(DeviceError) {}

  private func memory(_ array: NDArray) -> UnsafeMutableRawBufferPointer {
    guard let memory = array.storage as? Memory else { preconditionFailure("foreign memory") }
    let start = array.byteOffset
    return UnsafeMutableRawBufferPointer(rebasing: memory.bytes[start..<start + array.byteCount])
  }

  func note(_ call: String, _ destinations: NDArray?...) {
    state.counters.launches += 1
    guard state.isRecording else { return }
    state.calls.append(call)
    state.destinations += destinations.compactMap { $0 }
  }

  /// The elements as numbers, whatever their type.
  func read(_ array: NDArray) -> [Double] {
    let bytes = UnsafeRawBufferPointer(memory(array))
    return switch array.dtype {
    case .float32: bytes.bindMemory(to: Float.self).map(Double.init)
    case .int32: bytes.bindMemory(to: Int32.self).map(Double.init)
    case .uint8: bytes.map(Double.init)
    case .float16, .bfloat16:
      bytes.bindMemory(to: UInt16.self).map { Double(array.dtype.number(halfBits: $0) ?? .nan) }
    }
  }
  func write(_ values: [Double], to array: NDArray) {
    precondition(values.count == array.count)
    let bytes = memory(array)
    for (i, value) in values.enumerated() {
      switch array.dtype {
      case .float32: bytes.bindMemory(to: Float.self)[i] = Float(value)
      case .int32: bytes.bindMemory(to: Int32.self)[i] = Int32(value)
      case .uint8: bytes[i] = UInt8(value)
      case .float16, .bfloat16:
        bytes.bindMemory(to: UInt16.self)[i] = array.dtype.halfBits(Float(value)) ?? 0
      }
    }
  }
}

/// Calls `body` with every index of a shape, last axis fastest.
func forEachIndex(_ extents: [Int], _ body: ([Int]) -> Void) {
  if extents.contains(0) { return }
  var index = [Int](repeating: 0, count: extents.count)
  while true {
    body(index)
    var axis = extents.count - 1
    while axis >= 0 {
      index[axis] += 1
      if index[axis] < extents[axis] { break }
      index[axis] = 0
      axis -= 1
    }
    if axis < 0 { return }
  }
}

func position(_ index: [Int], _ strides: [Int], offset: Int = 0) -> Int {
  zip(index, strides).reduce(offset) { $0 + $1.0 * $1.1 }
}
