internal import COpenCL

/// The functions of the OpenCL library that this process found.
struct OpenCLLibrary: @unchecked Sendable {
  // Safe: the table is written once before it is handed out and never changes.
  private let functions: UnsafePointer<KeelOpenCLFunctions>

  /// The functions by name: `api.clFinish(queue)`.
  var api: KeelOpenCLFunctions {
    @inline(__always) unsafeAddress { functions }
  }

  /// The library of this process, or nil where there is none.
  static let shared = OpenCLLibrary()

  private init?() {
    guard let functions = keel_opencl_functions() else { return nil }
    self.functions = functions
  }
}

/// What was found of OpenCL on this machine: for `keel devices` and `keel doctor`.
package struct OpenCLDiscovery: Sendable {
  /// The library's name, or nil where none was found.
  package var library: String?
  /// Every platform, in the loader's order.
  package var platforms: [OpenCLPlatform] = []
  /// One sentence per thing that failed: candidates that are no library, a loader without drivers,
  /// a platform without devices.
  package var failures: [String] = []

  /// Every device of every platform; its place is the INDEX of `opencl:INDEX`.
  package var devices: [OpenCLDeviceEntry] { platforms.flatMap(\.devices) }

  /// What this process found when it first asked.
  package static let shared = OpenCLDiscovery.discover()
}
