internal import COpenCL
internal import Glibc
internal import KeelBackend

/// A buffer of the device; it goes back to the pool when its last array is gone.
final class OpenCLStorage: Storage, @unchecked Sendable {
  let byteCount: Int
  let buffer: OpaquePointer
  /// The run of a capture that made it, if one did.
  let slot: OpenCLCaptureSlot?
  /// Where it lies in a buffer of many arrays; nil if the buffer is its own.
  private let place: Place?
  private let pool: OpenCLMemoryPool
  // Safe: only touched under the pool's lock.
  private var parts: [Part: OpaquePointer] = [:]

  private struct Part: Hashable {
    let offset: Int
    let count: Int
  }

  /// A part of a buffer of many arrays.
  struct Place {
    let whole: OpaquePointer
    let offset: Int
  }

  /// - Parameter buffer: its own, or the part of another one that `place` tells.
  init(
    buffer: OpaquePointer, byteCount: Int, pool: OpenCLMemoryPool, slot: OpenCLCaptureSlot?,
    place: Place? = nil
  ) {
    self.buffer = buffer
    self.byteCount = byteCount
    self.pool = pool
    self.slot = slot
    self.place = place
  }

  deinit {
    for part in parts.values { _ = pool.library.api.clReleaseMemObject(part) }
    if place == nil {
      pool.recycle(buffer, byteCount)
    } else {
      _ = pool.library.api.clReleaseMemObject(buffer)
    }
    guard let slot else { return }
    pool.lock.lock()
    defer { pool.lock.unlock() }
    slot.recording.released(slot.number)
  }

  static func of(_ array: NDArray) -> OpenCLStorage {
    guard let storage = array.storage as? OpenCLStorage else {
      preconditionFailure("an array of another device")
    }
    return storage
  }

  /// What a kernel is given for `array`: the buffer, or a sub-buffer that starts at its offset.
  func memory(of array: NDArray) throws(DeviceError) -> OpaquePointer {
    if array.byteOffset == 0 || array.count == 0 { return buffer }
    return try part(offset: array.byteOffset, count: array.byteCount)
  }

  private func part(offset: Int, count: Int) throws(DeviceError) -> OpaquePointer {
    pool.lock.lock()
    defer { pool.lock.unlock() }
    let key = Part(offset: offset, count: count)
    if let known = parts[key] { return known }
    // A part of a part has to be made of the whole.
    let made = try pool.part(
      of: place?.whole ?? buffer, offset: (place?.offset ?? 0) + offset, count: count)
    parts[key] = made
    return made
  }
}

/// The device's memory: buffers in size classes, given back when idle memory is needed elsewhere.
///
/// A buffer may be handed out again while commands on it still run: the queue is in order, so the
/// next owner's commands come later.
final class OpenCLMemoryPool: @unchecked Sendable {
  let library: OpenCLLibrary
  let lock: OpenCLLock
  private let context: OpaquePointer
  private let limits: OpenCLLimits
  /// With KEEL_EXACT_BUFFERS=1 a buffer has the bytes that were asked for and no more, so that a
  /// simulator or a checking driver sees an access one element beyond.
  private let isExact = getenv("KEEL_EXACT_BUFFERS").map { String(cString: $0) } == "1"
  // Safe: only touched under the lock.
  private var idle: [Int: [OpaquePointer]] = [:]
  private var idleBytes = 0
  private(set) var liveBytes = 0
  private(set) var peakBytes = 0
  private(set) var allocations = 0
  /// Who notes the arrays that are made, and gives some of them their memory.
  var recording: OpenCLRecording?
  private var spaces: [Space] = []

  private struct Space {
    weak var space: OpenCLCaptureSpace?
  }

  init(
    _ library: OpenCLLibrary, context: OpaquePointer, limits: OpenCLLimits, lock: OpenCLLock
  ) {
    self.library = library
    self.context = context
    self.limits = limits
    self.lock = lock
  }

  deinit {
    trim()
    _ = library.api.clReleaseContext(context)
  }

  /// Bytes of the size class that holds `byteCount`: four classes per power of two, so that at
  /// most a fifth is wasted and a few shapes share memory; from 1 MiB on 64, which waste a 64th:
  /// a fifth of parameters, gradients and moments would be more than sharing saves.
  static func classBytes(_ byteCount: Int) -> Int {
    let smallest = NDArray.alignment
    if byteCount <= 4 * smallest { return max(1, ceilDivide(byteCount, smallest)) * smallest }
    let power = Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount
    let step = 1 << (power - (power < 20 ? 2 : 6))
    return ceilDivide(byteCount, step) * step
  }

  func resetPeakBytes() {
    lock.lock()
    defer { lock.unlock() }
    peakBytes = liveBytes
  }

  func storage(byteCount requested: Int) throws(DeviceError) -> OpenCLStorage {
    lock.lock()
    defer { lock.unlock() }
    let planned = try plan(max(1, requested))
    if let storage = planned.storage { return storage }
    let bytes = isExact ? max(1, requested) : Self.classBytes(requested)
    let buffer: OpaquePointer
    if let reused = idle[bytes]?.popLast() {
      idleBytes -= bytes
      buffer = reused
    } else {
      buffer = try fresh(bytes)
      allocations += 1
    }
    liveBytes += bytes
    peakBytes = max(peakBytes, liveBytes)
    return OpenCLStorage(buffer: buffer, byteCount: bytes, pool: self, slot: planned.slot)
  }

  /// What a capture that is recorded says to a new array: its memory, or that it wants to know when
  /// the array goes.
  private func plan(
    _ bytes: Int
  ) throws(DeviceError) -> (storage: OpenCLStorage?, slot: OpenCLCaptureSlot?) {
    guard let recording else { return (nil, nil) }
    let (number, offset) = recording.allocate(bytes)
    let slot = OpenCLCaptureSlot(recording, number)
    guard let offset, let arena = recording.arena else { return (nil, slot) }
    let buffer = try part(of: arena, offset: offset, count: bytes)
    let storage = OpenCLStorage(
      buffer: buffer, byteCount: bytes, pool: self, slot: slot,
      place: .init(whole: arena, offset: offset))
    return (storage, slot)
  }

  /// A part of a buffer as an object of its own.
  func part(of buffer: OpaquePointer, offset: Int, count: Int) throws(DeviceError) -> OpaquePointer
  {
    var region = cl_buffer_region(origin: offset, size: count)
    let api = library.api
    return try make("clCreateSubBuffer") { status in
      api.clCreateSubBuffer(
        buffer, cl_mem_flags(CL_MEM_READ_WRITE),
        cl_buffer_create_type(CL_BUFFER_CREATE_TYPE_REGION), &region, &status)
    }
  }

  /// One buffer for the arrays of captures, in place of the idle ones that held them before.
  func arena(_ bytes: Int) throws(DeviceError) -> OpaquePointer {
    lock.lock()
    defer { lock.unlock() }
    trim()
    let buffer = try fresh(bytes)
    allocations += 1
    liveBytes += bytes
    peakBytes = max(peakBytes, liveBytes)
    return buffer
  }

  func release(arena: OpaquePointer?, _ bytes: Int) {
    guard let arena else { return }
    lock.lock()
    defer { lock.unlock() }
    liveBytes -= bytes
    _ = library.api.clReleaseMemObject(arena)
  }

  func add(_ space: OpenCLCaptureSpace) {
    lock.lock()
    defer { lock.unlock() }
    spaces.removeAll { $0.space == nil }
    spaces.append(Space(space: space))
  }

  /// Gives back all that is not in use, memory of captures included unless one is at work.
  private func relieve() {
    trim()
    guard recording == nil else { return }
    for member in spaces { member.space?.giveBack() }
  }

  private func fresh(_ bytes: Int) throws(DeviceError) -> OpaquePointer {
    // Asked first, because drivers on a host that overcommits would only fail when written to.
    if liveBytes + idleBytes + bytes > limits.memoryBytes { trim() }
    if liveBytes + bytes > limits.memoryBytes { relieve() }
    guard bytes <= limits.maximumAllocation, liveBytes + bytes <= limits.memoryBytes else {
      throw exhausted(bytes)
    }
    if limits.livesInHostMemory, bytes >= HostMemory.bigRequest,
      let available = HostMemory.availableBytes, available < bytes
    {
      relieve()
      if let available = HostMemory.availableBytes, available < bytes {
        throw .outOfMemory(requested: bytes, available: available)
      }
    }
    for attempt in 0..<2 {
      var status = CL_SUCCESS
      let flags = cl_mem_flags(CL_MEM_READ_WRITE)
      if let buffer = library.api.clCreateBuffer(context, flags, bytes, nil, &status),
        status == CL_SUCCESS
      {
        return buffer
      }
      guard OpenCLStatus.isOutOfMemory(status) else { throw failure(status, "clCreateBuffer") }
      if attempt == 0 { relieve() }
    }
    throw exhausted(bytes)
  }

  /// The error of a request that cannot be met.
  func exhausted(_ bytes: Int) -> DeviceError {
    lock.lock()
    defer { lock.unlock() }
    let available = min(limits.maximumAllocation, max(0, limits.memoryBytes - liveBytes))
    return .outOfMemory(requested: bytes, available: available)
  }

  func recycle(_ buffer: OpaquePointer, _ bytes: Int) {
    lock.lock()
    defer { lock.unlock() }
    liveBytes -= bytes
    idleBytes += bytes
    idle[bytes, default: []].append(buffer)
  }

  /// Gives all idle buffers back to the driver.
  func trim() {
    lock.lock()
    defer { lock.unlock() }
    for buffer in idle.values.joined() { _ = library.api.clReleaseMemObject(buffer) }
    idle = [:]
    idleBytes = 0
  }
}
