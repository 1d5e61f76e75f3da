import Glibc
import KeelBackend
import KeelOpenCL
import Testing

/// The device that the tests run on: the first there is.
enum TestDevice {
  static let entry = OpenCLDiscovery.shared.devices.first

  /// Whether tests can run. Without a device they are skipped, which is said once; with
  /// `KEEL_REQUIRE_OPENCL=1` they fail instead.
  static let isUsable: Bool = {
    if entry != nil { return true }
    if getenv("KEEL_REQUIRE_OPENCL").map({ String(cString: $0) }) == "1" { return true }
    print("skipped: no OpenCL device")
    return false
  }()

  static func open() throws -> OpenCLBackend {
    try OpenCLBackend.open(#require(entry, "no OpenCL device"))
  }

  /// A backend of its own, with its own counters and a cache in `folder`.
  static func fresh(cache folder: String? = nil) throws -> OpenCLBackend {
    try OpenCLBackend(#require(entry, "no OpenCL device"), cache: .init(folder: folder))
  }

  /// Runs `body` with the kernels of both classes of device. One backend serves all tests, so that
  /// a program is compiled once; callers must not run at the same time.
  static func bothClasses(_ body: (OpenCLBackend) throws -> Void) throws {
    let backend = try #require(shared, "no OpenCL device")
    for cpuClass in [true, false] {
      _ = backend.setClass(cpuClass)
      try body(backend)
    }
  }

  private static let shared = entry.flatMap { try? OpenCLBackend($0) }
}

extension OpenCLBackend {
  /// The elements of a float32 array.
  func floats(_ array: NDArray) throws -> [Float] { try scalars(array, as: Float.self) }
}

/// Reproducible numbers in -2 ..< 2.
func numbers(_ count: Int, seed: UInt64) -> [Float] {
  var sequence = RandomSequence(RandomKey(seed: seed, .user))
  return (0..<count).map { _ in sequence.nextUniform() * 4 - 2 }
}

/// A new folder for one test.
func temporaryFolder() throws -> String {
  var template = Array("/tmp/keel-test-XXXXXX".utf8CString)
  return try #require(mkdtemp(&template).map { String(cString: $0) })
}
