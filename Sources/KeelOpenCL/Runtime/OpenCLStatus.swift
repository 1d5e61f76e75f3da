internal import COpenCL
internal import KeelBackend

/// The names of OpenCL's status codes, and what they become.
enum OpenCLStatus {
  /// `CL_…` as the specification spells it, or the number of an unknown code.
  static func name(_ status: cl_int) -> String {
    names[status] ?? "status \(status)"
  }

  private static let names: [cl_int: String] = [
    CL_DEVICE_NOT_FOUND: "CL_DEVICE_NOT_FOUND",
    CL_DEVICE_NOT_AVAILABLE: "CL_DEVICE_NOT_AVAILABLE",
    CL_COMPILER_NOT_AVAILABLE: "CL_COMPILER_NOT_AVAILABLE",
    CL_MEM_OBJECT_ALLOCATION_FAILURE: "CL_MEM_OBJECT_ALLOCATION_FAILURE",
    CL_OUT_OF_RESOURCES: "CL_OUT_OF_RESOURCES",
    CL_OUT_OF_HOST_MEMORY: "CL_OUT_OF_HOST_MEMORY",
    CL_PROFILING_INFO_NOT_AVAILABLE: "CL_PROFILING_INFO_NOT_AVAILABLE",
    CL_BUILD_PROGRAM_FAILURE: "CL_BUILD_PROGRAM_FAILURE",
    CL_MISALIGNED_SUB_BUFFER_OFFSET: "CL_MISALIGNED_SUB_BUFFER_OFFSET",
    CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST: "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
    CL_INVALID_VALUE: "CL_INVALID_VALUE",
    CL_INVALID_DEVICE_TYPE: "CL_INVALID_DEVICE_TYPE",
    CL_INVALID_PLATFORM: "CL_INVALID_PLATFORM",
    CL_INVALID_DEVICE: "CL_INVALID_DEVICE",
    CL_INVALID_CONTEXT: "CL_INVALID_CONTEXT",
    CL_INVALID_QUEUE_PROPERTIES: "CL_INVALID_QUEUE_PROPERTIES",
    CL_INVALID_COMMAND_QUEUE: "CL_INVALID_COMMAND_QUEUE",
    CL_INVALID_MEM_OBJECT: "CL_INVALID_MEM_OBJECT",
    CL_INVALID_BINARY: "CL_INVALID_BINARY",
    CL_INVALID_BUILD_OPTIONS: "CL_INVALID_BUILD_OPTIONS",
    CL_INVALID_PROGRAM: "CL_INVALID_PROGRAM",
    CL_INVALID_PROGRAM_EXECUTABLE: "CL_INVALID_PROGRAM_EXECUTABLE",
    CL_INVALID_KERNEL_NAME: "CL_INVALID_KERNEL_NAME",
    CL_INVALID_KERNEL: "CL_INVALID_KERNEL",
    CL_INVALID_ARG_INDEX: "CL_INVALID_ARG_INDEX",
    CL_INVALID_ARG_VALUE: "CL_INVALID_ARG_VALUE",
    CL_INVALID_ARG_SIZE: "CL_INVALID_ARG_SIZE",
    CL_INVALID_KERNEL_ARGS: "CL_INVALID_KERNEL_ARGS",
    CL_INVALID_WORK_DIMENSION: "CL_INVALID_WORK_DIMENSION",
    CL_INVALID_WORK_GROUP_SIZE: "CL_INVALID_WORK_GROUP_SIZE",
    CL_INVALID_WORK_ITEM_SIZE: "CL_INVALID_WORK_ITEM_SIZE",
    CL_INVALID_EVENT: "CL_INVALID_EVENT",
    CL_INVALID_OPERATION: "CL_INVALID_OPERATION",
    CL_INVALID_BUFFER_SIZE: "CL_INVALID_BUFFER_SIZE",
    CL_INVALID_GLOBAL_WORK_SIZE: "CL_INVALID_GLOBAL_WORK_SIZE",
    // What the loader says when no driver is installed (cl_khr_icd).
    -1001: "CL_PLATFORM_NOT_FOUND_KHR",
  ]

  /// Whether memory may have run out: worth a second try after idle memory is given back.
  static func isOutOfMemory(_ status: cl_int) -> Bool {
    status == CL_MEM_OBJECT_ALLOCATION_FAILURE || status == CL_OUT_OF_HOST_MEMORY
  }
}

/// Throws unless the driver's function succeeded.
@inline(__always)
func check(_ status: cl_int, _ function: StaticString) throws(DeviceError) {
  if status != CL_SUCCESS { throw failure(status, function) }
}

@inline(never)
func failure(_ status: cl_int, _ function: StaticString) -> DeviceError {
  // -9999 is what NVIDIA's driver gives after an illegal access: the context is dead.
  if status == CL_DEVICE_NOT_AVAILABLE || status == -9999 {
    return .lost(device: "\(function): \(OpenCLStatus.name(status))")
  }
  return .callFailed(function: function.description, status: OpenCLStatus.name(status))
}

/// A handle that a driver's function makes, or the error it gives.
func make(
  _ function: StaticString, _ body: (_ status: inout cl_int) -> OpaquePointer?
) throws(DeviceError) -> OpaquePointer {
  var status = CL_SUCCESS
  let handle = body(&status)
  try check(status, function)
  guard let handle else {
    throw .callFailed(function: function.description, status: "no handle")
  }
  return handle
}
