internal import COpenCL
internal import Glibc
internal import KeelBackend

/// A buffer of the device; it goes back to the pool when its last array is gone.
final class OpenCLStorage: Storage, @unchecked Sendable {
  let byteCount: Int
  let buffer: OpaquePointer
  private let pool: OpenCLMemoryPool
  // Safe: only touched under the pool's lock.
  private var parts: [Part: OpaquePointer] = [:]

  private struct Part: Hashable {
    let offset: Int
    let count: Int
  }

  init(buffer: OpaquePointer, byteCount: Int, pool: OpenCLMemoryPool) {
    self.buffer = buffer
    self.byteCount = byteCount
    self.pool = pool
  }

  deinit {
    for part in parts.values { _ = pool.library.api.clReleaseMemObject(part) }
    pool.recycle(buffer, byteCount)
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
    var region = cl_buffer_region(origin: offset, size: count)
    let api = pool.library.api
    let made = try make("clCreateSubBuffer") { status in
      api.clCreateSubBuffer(
        buffer, cl_mem_flags(CL_MEM_READ_WRITE),
        cl_buffer_create_type(CL_BUFFER_CREATE_TYPE_REGION),
        &region, &status)
    }
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
  /// most a fifth is wasted and a few shapes share memory.
  static func classBytes(_ byteCount: Int) -> Int {
    let smallest = NDArray.alignment
    if byteCount <= 4 * smallest { return max(1, ceilDivide(byteCount, smallest)) * smallest }
    let step = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount - 2)
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
    return OpenCLStorage(buffer: buffer, byteCount: bytes, pool: self)
  }

  private func fresh(_ bytes: Int) throws(DeviceError) -> OpaquePointer {
    // Asked first, because drivers on a host that overcommits would only fail when written to.
    if liveBytes + idleBytes + bytes > limits.memoryBytes { trim() }
    guard bytes <= limits.maximumAllocation, liveBytes + bytes <= limits.memoryBytes else {
      throw exhausted(bytes)
    }
    if limits.livesInHostMemory, bytes >= HostMemory.bigRequest,
      let available = HostMemory.availableBytes, available < bytes
    {
      trim()
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
      if attempt == 0 { trim() }
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
