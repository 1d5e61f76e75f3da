internal import COpenCL
internal import Glibc
package import KeelBackend

extension OpenCLBackend {
  /// Copies bytes to the device without waiting for it.
  package func upload(
    _ bytes: UnsafeRawBufferPointer, to array: NDArray
  ) throws(DeviceError) {
    precondition(bytes.count == array.byteCount)
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    let storage = OpenCLStorage.of(array)
    lock.lock()
    defer { lock.unlock() }
    recording?.refuse("it sends values of the host to the device")
    let block = try staging.take(bytes.count)
    memcpy(block.memory, source, bytes.count)
    var event: OpaquePointer?
    let status = library.api.clEnqueueWriteBuffer(
      queue, storage.buffer, cl_bool(CL_FALSE), array.byteOffset, bytes.count, block.memory, 0,
      nil, &event)
    staging.give(block, until: status == CL_SUCCESS ? event : nil)
    try check(status, "clEnqueueWriteBuffer")
    try flush()
  }

  /// Fills an array of a few MiB with the low bytes of `bits` without a kernel, so that a training
  /// of a small network compiles no program for what it fills at its start; false where a kernel
  /// must do it: work that is recorded or traced consists of launches.
  func fillBytes(_ array: NDArray, with bits: UInt32) throws(DeviceError) -> Bool {
    let storage = OpenCLStorage.of(array)
    lock.lock()
    defer { lock.unlock() }
    // A command is one core's work on some drivers.
    guard recording == nil, record == nil, array.byteCount <= 4 << 20 else { return false }
    if array.byteCount == 0 { return true }
    // The first bytes are the low ones on every host that there is a compiler for.
    var pattern = bits.littleEndian
    let status = library.api.clEnqueueFillBuffer(
      queue, storage.buffer, &pattern, array.dtype.byteCount, array.byteOffset, array.byteCount, 0,
      nil, nil)
    try check(status, "clEnqueueFillBuffer")
    try addCommand()
    return true
  }

  private func addCommand() throws(DeviceError) {
    launches += 1
    unflushed += 1
    if unflushed >= 16 { try flush() }
  }

  /// Copies bytes from one buffer to another without a kernel, as ``fillBytes(_:with:)`` fills.
  func copyBytes(
    from source: NDArray, at sourceOffset: Int, to destination: NDArray, at destinationOffset: Int,
    count: Int
  ) throws(DeviceError) -> Bool {
    let (from, to) = (OpenCLStorage.of(source), OpenCLStorage.of(destination))
    lock.lock()
    defer { lock.unlock() }
    guard recording == nil, record == nil, from.buffer != to.buffer else { return false }
    let status = library.api.clEnqueueCopyBuffer(
      queue, from.buffer, to.buffer, source.byteOffset + sourceOffset,
      destination.byteOffset + destinationOffset, count, 0, nil, nil)
    try check(status, "clEnqueueCopyBuffer")
    try addCommand()
    return true
  }

  /// Waits for an array and copies it to the host.
  package func download(
    _ array: NDArray, to bytes: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    precondition(bytes.count == array.byteCount)
    guard let destination = bytes.baseAddress, !bytes.isEmpty else { return }
    let storage = OpenCLStorage.of(array)
    lock.lock()
    defer { lock.unlock() }
    recording?.refuse("the host reads what it computes")
    blockingReads += 1
    unflushed = 0
    let status = library.api.clEnqueueReadBuffer(
      queue, storage.buffer, cl_bool(CL_TRUE), array.byteOffset, bytes.count, destination, 0, nil,
      nil)
    try check(status, "clEnqueueReadBuffer")
    try settle()
  }

  /// Waits until all work given so far is done, and throws what failed of it.
  package func synchronize() throws(DeviceError) {
    lock.lock()
    defer { lock.unlock() }
    unflushed = 0
    recording?.refuse("the host waits for the device")
    try check(library.api.clFinish(queue), "clFinish")
    try settle()
  }

  /// What is done while the queue is idle anyway: staging memory comes back, failed transfers are
  /// reported.
  private func settle() throws(DeviceError) { try staging.reclaim() }
}

/// Host memory that holds uploads until the device has read them. Only used under the lock.
final class OpenCLStaging {
  struct Block {
    let memory: UnsafeMutableRawPointer
    let capacity: Int
  }

  private let library: OpenCLLibrary
  private var pending: [(event: OpaquePointer, block: Block)] = []
  private var idle: [Int: [Block]] = [:]

  init(_ library: OpenCLLibrary) { self.library = library }

  deinit {
    for (event, block) in pending {
      var event: OpaquePointer? = event
      _ = library.api.clWaitForEvents(1, &event)
      if let event { _ = library.api.clReleaseEvent(event) }
      block.memory.deallocate()
    }
    for block in idle.values.joined() { block.memory.deallocate() }
  }

  /// A block of at least `bytes`, from those that the device is done with where possible.
  func take(_ bytes: Int) throws(DeviceError) -> Block {
    try reclaim()
    let capacity = OpenCLMemoryPool.classBytes(bytes)
    if let block = idle[capacity]?.popLast() { return block }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    return Block(memory: memory, capacity: capacity)
  }

  /// Takes a block back, to be used again after `event`; nil if nothing reads it.
  func give(_ block: Block, until event: OpaquePointer?) {
    if let event {
      pending.append((event, block))
    } else {
      idle[block.capacity, default: []].append(block)
    }
  }

  /// Frees the blocks whose transfers are done; throws if one of them failed.
  func reclaim() throws(DeviceError) {
    var failed = CL_SUCCESS
    var done = 0
    for (event, block) in pending {
      var state = cl_int(CL_QUEUED)
      let status = library.api.clGetEventInfo(
        event, cl_event_info(CL_EVENT_COMMAND_EXECUTION_STATUS), MemoryLayout<cl_int>.size,
        &state, nil)
      if status != CL_SUCCESS { state = status }
      // The queue is in order: what comes after an unfinished transfer is unfinished too.
      guard state <= CL_COMPLETE else { break }
      if state < CL_COMPLETE { failed = state }
      _ = library.api.clReleaseEvent(event)
      idle[block.capacity, default: []].append(block)
      done += 1
    }
    pending.removeFirst(done)
    try check(failed, "clEnqueueWriteBuffer")
  }
}
