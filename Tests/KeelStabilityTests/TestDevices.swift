import Keel
import KeelBackend

/// The devices that tests run on: the CPU device, and the first OpenCL device if there is one.
enum TestDevices {
  static let all: [Device] = {
    var devices = [Device.cpu]
    if let openCL = try? Device.select("opencl").device { devices.append(openCL) }
    return devices
  }()
}

/// The sentence of the error that a body throws, or an empty one.
func sentence(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch { return "\(error)" }
}
