internal import COpenCL
package import KeelBackend

extension OpenCLBackend {
  /// Launches a kernel of an operation's program.
  ///
  /// - Parameters:
  ///   - options: macros, `NAME=VALUE` or `NAME`; each set of them is a program of its own.
  ///   - grid: nothing is launched if it is empty.
  ///   - arguments: in the order of the kernel's parameters.
  package func launch<each Argument: KernelArgument>(
    _ function: String, from operation: OperationName, options: [String] = [], grid: Grid,
    _ arguments: repeat each Argument
  ) throws(DeviceError) {
    try launch(
      function, source: .of(operation), options: options, grid: grid, repeat each arguments)
  }

  /// Launches a kernel of a generated program.
  package func launch<each Argument: KernelArgument>(
    _ function: String, source: KernelSource, options: [String] = [], grid: Grid,
    _ arguments: repeat each Argument
  ) throws(DeviceError) {
    if grid.isEmpty { return }
    // Setting arguments and enqueueing is one step.
    lock.lock()
    defer { lock.unlock() }
    let known = try programs.kernel(function, source, options)
    guard let recording else {
      var setter = KernelArguments(library, kernel: known.handle)
      repeat try (each arguments).bind(to: &setter)
      return try enqueue(known, grid)
    }
    let notes = OpenCLArgumentNotes(recording, known)
    // What may be started again needs a kernel object that keeps these arguments.
    let twin = recording.keepsLaunches ? try programs.twin(of: known) : nil
    let kernel = twin ?? known
    let memory = twin.map { OpenCLKeptMemory(library, kernel: $0.handle) }
    var setter = KernelArguments(library, kernel: kernel.handle, notes: notes)
    repeat try (each arguments).bind(to: &setter)
    memory?.keep(notes)
    try enqueue(kernel, grid)
    recording.add(kernel, grid, notes, memory)
  }

  func enqueue(_ kernel: OpenCLPrograms.Kernel, _ grid: Grid) throws(DeviceError) {
    var status = enqueueOnce(kernel, grid)
    if OpenCLStatus.isOutOfMemory(status) {
      // Buffers may get their memory only now: give back what is idle and try once more.
      _ = library.api.clFinish(queue)
      pool.trim()
      status = enqueueOnce(kernel, grid)
      if OpenCLStatus.isOutOfMemory(status) { throw pool.exhausted(0) }
    }
    try check(status, "clEnqueueNDRangeKernel")
    launches += 1
    programs.note(kernel, local: grid.local)
    // Work should start while the host prepares more, but a flush is not free.
    unflushed += 1
    if unflushed >= 16 { try flush() }
  }

  private func enqueueOnce(_ kernel: OpenCLPrograms.Kernel, _ grid: Grid) -> cl_int {
    var global = grid.global
    var local = grid.local
    return withUnsafeBytes(of: &global) { globalBytes in
      withUnsafeBytes(of: &local) { localBytes in
        let globalSizes = globalBytes.assumingMemoryBound(to: Int.self).baseAddress
        let localSizes = localBytes.assumingMemoryBound(to: Int.self).baseAddress
        guard record != nil else {
          return library.api.clEnqueueNDRangeKernel(
            queue, kernel.handle, 3, nil, globalSizes, localSizes, 0, nil, nil)
        }
        var event: OpaquePointer?
        let status = library.api.clEnqueueNDRangeKernel(
          queue, kernel.handle, 3, nil, globalSizes, localSizes, 0, nil, &event)
        if let event { record?.add(event, kernel) }
        return status
      }
    }
  }

  func flush() throws(DeviceError) {
    unflushed = 0
    try check(library.api.clFlush(queue), "clFlush")
  }
}
