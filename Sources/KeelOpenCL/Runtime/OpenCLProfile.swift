internal import COpenCL
package import KeelBackend

/// The events of launches, and what planning functions said, while launches are traced.
struct OpenCLRecord {
  private(set) var events: [(event: OpaquePointer, program: String, function: String)] = []
  private(set) var choices: [String] = []

  mutating func add(_ event: OpaquePointer, _ kernel: OpenCLPrograms.Kernel) {
    events.append((event, kernel.program.source.name, kernel.function))
  }

  mutating func add(_ choice: String) {
    if !choices.contains(choice) { choices.append(choice) }
  }
}

extension OpenCLBackend: LaunchTracing {
  /// Runs `body` on a queue that measures.
  package func traced(_ body: () throws -> Void) throws -> LaunchTrace {
    lock.lock()
    defer { lock.unlock() }
    precondition(record == nil)
    let api = library.api
    try synchronize()
    let plain = queue
    let properties = cl_command_queue_properties(CL_QUEUE_PROFILING_ENABLE)
    queue = try make("clCreateCommandQueue") {
      api.clCreateCommandQueue(context, entry.device, properties, &$0)
    }
    record = OpenCLRecord()
    defer {
      _ = api.clFinish(queue)
      _ = api.clReleaseCommandQueue(queue)
      queue = plain
      for (event, _, _) in record?.events ?? [] { _ = api.clReleaseEvent(event) }
      record = nil
    }
    try body()
    try synchronize()
    var trace = LaunchTrace()
    trace.choices = record?.choices ?? []
    let events = record?.events ?? []
    let starts = events.map { time($0.event, CL_PROFILING_COMMAND_START) }
    let ends = events.map { time($0.event, CL_PROFILING_COMMAND_END) }
    if let first = starts.min(), let last = ends.max(), first > 0, last > first {
      trace.spanNanoseconds = last - first
    }
    trace.launches = events.indices.map { index in
      LaunchRecord(
        program: events[index].program, function: events[index].function,
        nanoseconds: ends[index] > starts[index] ? ends[index] - starts[index] : 0)
    }
    return trace
  }

  /// Says what a planning function chose, to whoever traces.
  func explain(_ choice: @autoclosure () -> String) {
    lock.lock()
    defer { lock.unlock() }
    if record != nil { record?.add(choice()) }
  }

  private func time(_ event: OpaquePointer, _ what: Int32) -> UInt64 {
    var value: cl_ulong = 0
    let status = library.api.clGetEventProfilingInfo(
      event, cl_profiling_info(what), MemoryLayout<cl_ulong>.size, &value, nil)
    return status == CL_SUCCESS ? value : 0
  }
}
