internal import COpenCL
package import KeelBackend

/// A driver and its devices.
package struct OpenCLPlatform: Sendable {
  package let name: String
  package let vendor: String
  package let version: String
  package internal(set) var devices: [OpenCLDeviceEntry]
}

/// A device that can be opened.
package struct OpenCLDeviceEntry: @unchecked Sendable {
  package let description: DeviceDescription
  /// The position over all platforms: `opencl:INDEX`.
  package let index: Int
  /// The position as `opencl:PLATFORM.DEVICE`.
  package let platformIndex: Int
  package let deviceIndex: Int
  package let limits: OpenCLLimits
  let platformVersion: String
  // Safe: root devices live as long as the process and may be used from any thread.
  let platform: OpaquePointer
  let device: OpaquePointer

  /// Whether the driver is the Portable Computing Language, whose binaries grow as kernels run.
  var isPoCL: Bool { description.platform == "Portable Computing Language" }
}

/// The numbers that launchers plan by.
package struct OpenCLLimits: Sendable, Hashable {
  package var computeUnits: Int
  /// The largest work-group.
  package var maximumGroup: Int
  /// Local memory of a work-group in bytes.
  package var localBytes: Int
  /// Whether kernels may use double.
  package var hasDouble: Bool
  /// The largest buffer in bytes.
  package var maximumAllocation: Int
  package var memoryBytes: Int
  /// Whether that is the machine's own memory, which other programs use too.
  package var livesInHostMemory: Bool
  /// Whether division and square root can be asked to round correctly.
  package var roundsDivision: Bool
  /// Whether the device multiplies tf32 on NVIDIA's tensor cores.
  package var hasTensorCores: Bool
  /// Whose GPU it is; the kernels of CPU-class devices do not ask.
  package var family: GPUFamily
}

extension OpenCLDiscovery {
  static func discover() -> OpenCLDiscovery {
    var found = OpenCLDiscovery()
    guard let library = OpenCLLibrary.shared else {
      found.failures = String(cString: keel_opencl_failures()).split(separator: "\n").map(
        String.init)
      return found
    }
    found.library = String(cString: keel_opencl_library())
    var count: cl_uint = 0
    let status = library.api.clGetPlatformIDs(0, nil, &count)
    guard status == CL_SUCCESS, count > 0 else {
      found.failures.append(
        "the loader knows no driver (clGetPlatformIDs: \(OpenCLStatus.name(status)))")
      return found
    }
    var handles = [cl_platform_id?](repeating: nil, count: Int(count))
    _ = library.api.clGetPlatformIDs(count, &handles, nil)
    for case let handle? in handles {
      found.add(platform: handle, library)
    }
    return found
  }

  private mutating func add(platform: OpaquePointer, _ library: OpenCLLibrary) {
    let query = OpenCLQuery { name, size, value, needed in
      library.api.clGetPlatformInfo(platform, cl_platform_info(name), size, value, needed)
    }
    var entry = OpenCLPlatform(
      name: query.text(CL_PLATFORM_NAME), vendor: query.text(CL_PLATFORM_VENDOR),
      version: query.text(CL_PLATFORM_VERSION), devices: [])
    var count: cl_uint = 0
    let kinds = cl_device_type(CL_DEVICE_TYPE_ALL)
    let status = library.api.clGetDeviceIDs(platform, kinds, 0, nil, &count)
    if status != CL_SUCCESS || count == 0 {
      failures.append(
        "the platform '\(entry.name)' has no device (clGetDeviceIDs: \(OpenCLStatus.name(status)))")
    } else {
      var handles = [cl_device_id?](repeating: nil, count: Int(count))
      _ = library.api.clGetDeviceIDs(platform, kinds, count, &handles, nil)
      let known = devices.count
      for case let handle? in handles {
        let place = entry.devices.count
        entry.devices.append(
          OpenCLDeviceEntry(
            device: handle, platform: platform, of: entry, index: known + place,
            platformIndex: platforms.count, deviceIndex: place, library))
      }
    }
    platforms.append(entry)
  }
}

extension OpenCLDeviceEntry {
  /// CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV of the extension cl_nv_device_attribute_query.
  private static let nvidiaCapability: Int32 = 0x4000

  fileprivate init(
    device: OpaquePointer, platform: OpaquePointer, of owner: OpenCLPlatform, index: Int,
    platformIndex: Int, deviceIndex: Int, _ library: OpenCLLibrary
  ) {
    let query = OpenCLQuery { name, size, value, needed in
      library.api.clGetDeviceInfo(device, cl_device_info(name), size, value, needed)
    }
    let type = query.number(CL_DEVICE_TYPE, as: cl_device_type.self)
    let kind: DeviceKind =
      type & cl_device_type(CL_DEVICE_TYPE_GPU) != 0
      ? .gpu : type & cl_device_type(CL_DEVICE_TYPE_CPU) != 0 ? .cpu : .accelerator
    let memory = Int(clamping: query.number(CL_DEVICE_GLOBAL_MEM_SIZE, as: cl_ulong.self))
    let units = Int(query.number(CL_DEVICE_MAX_COMPUTE_UNITS, as: cl_uint.self))
    let single = query.number(CL_DEVICE_SINGLE_FP_CONFIG, as: cl_device_fp_config.self)
    let double = query.number(CL_DEVICE_DOUBLE_FP_CONFIG, as: cl_device_fp_config.self)
    self.description = DeviceDescription(
      selector: "opencl:\(index)", name: query.text(CL_DEVICE_NAME),
      vendor: query.text(CL_DEVICE_VENDOR), platform: owner.name,
      driver: query.text(CL_DRIVER_VERSION), version: query.text(CL_DEVICE_VERSION), kind: kind,
      memoryBytes: memory, computeUnits: units)
    let extensions = query.text(CL_DEVICE_EXTENSIONS).split(separator: " ")
    let isNVIDIA = extensions.contains("cl_nv_device_attribute_query")
    let capability = isNVIDIA ? query.number(Self.nvidiaCapability, as: cl_uint.self) : 0
    self.limits = OpenCLLimits(
      computeUnits: max(1, units),
      maximumGroup: query.number(CL_DEVICE_MAX_WORK_GROUP_SIZE, as: Int.self),
      localBytes: Int(clamping: query.number(CL_DEVICE_LOCAL_MEM_SIZE, as: cl_ulong.self)),
      hasDouble: double != 0,
      maximumAllocation: Int(
        clamping: query.number(CL_DEVICE_MAX_MEM_ALLOC_SIZE, as: cl_ulong.self)),
      memoryBytes: memory, livesInHostMemory: kind == .cpu,
      roundsDivision: single & cl_device_fp_config(CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0,
      hasTensorCores: capability >= 8,
      family: GPUFamily(vendor: query.text(CL_DEVICE_VENDOR)))
    self.index = index
    self.platformIndex = platformIndex
    self.deviceIndex = deviceIndex
    self.platformVersion = owner.version
    self.platform = platform
    self.device = device
  }
}

/// Reads what `clGet…Info` knows.
private struct OpenCLQuery {
  typealias Function = (Int32, Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> cl_int
  let function: Function

  init(_ function: @escaping Function) { self.function = function }

  /// A text; empty where the driver does not say.
  func text(_ name: Int32) -> String {
    var size = 0
    guard function(name, 0, nil, &size) == CL_SUCCESS, size > 0 else { return "" }
    var bytes = [UInt8](repeating: 0, count: size)
    guard function(name, size, &bytes, nil) == CL_SUCCESS else { return "" }
    let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    return text.split(separator: " ").joined(separator: " ")
  }

  /// A number; 0 where the driver does not say.
  func number<Number: FixedWidthInteger>(_ name: Int32, as type: Number.Type) -> Number {
    var value: Number = 0
    let status = function(name, MemoryLayout<Number>.size, &value, nil)
    return status == CL_SUCCESS ? value : 0
  }
}
