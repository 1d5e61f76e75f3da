internal import COpenCL
package import KeelBackend

/// The device's own time of one launch.
package struct OpenCLLaunchTime: Sendable {
  /// The program's name and the kernel's.
  package let program: String
  package let function: String
  /// Start to end on the device; 0 where the driver does not measure.
  package let nanoseconds: UInt64
}

/// The events of launches while they are timed.
struct OpenCLRecord {
  private(set) var events: [(event: OpaquePointer, program: String, function: String)] = []

  mutating func add(_ event: OpaquePointer, _ kernel: OpenCLPrograms.Kernel) {
    events.append((event, kernel.program.source.name, kernel.function))
  }
}

extension OpenCLBackend {
  /// Runs `body` on a queue that measures, and returns the device time of every launch in it.
  package func timed<Result>(
    _ body: () throws(DeviceError) -> Result
  ) throws(DeviceError) -> (result: Result, launches: [OpenCLLaunchTime]) {
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
    let result = try body()
    try synchronize()
    let times = (record?.events ?? []).map { event, program, function in
      let end = time(event, CL_PROFILING_COMMAND_END)
      let start = time(event, CL_PROFILING_COMMAND_START)
      return OpenCLLaunchTime(
        program: program, function: function, nanoseconds: end > start ? end - start : 0)
    }
    return (result, times)
  }

  private func time(_ event: OpaquePointer, _ what: Int32) -> UInt64 {
    var value: cl_ulong = 0
    let status = library.api.clGetEventProfilingInfo(
      event, cl_profiling_info(what), MemoryLayout<cl_ulong>.size, &value, nil)
    return status == CL_SUCCESS ? value : 0
  }
}
