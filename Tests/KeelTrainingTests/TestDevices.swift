import Keel
import KeelBackend
import KeelCPU
import KeelOpenCL

/// The devices that tests run on: the CPU device, and the first OpenCL device if there is one.
enum TestDevices {
  static let all: [Device] = {
    var devices = [Device.cpu]
    if let openCL = try? Device.select("opencl").device { devices.append(openCL) }
    return devices
  }()

  /// The same devices, opened again: their counters are nobody else's.
  static let fresh: [Device] = opened()

  /// Devices that nobody else works on.
  static func opened() -> [Device] {
    var devices: [Device] = []
    if let cpu = try? CPUBackend() { devices.append(Device(cpu)) }
    if let entry = OpenCLDiscovery.shared.devices.first, let backend = try? OpenCLBackend(entry) {
      devices.append(Device(backend))
    }
    return devices
  }
}

/// The sentence of the error that a body throws, or an empty one.
func sentence(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch { return "\(error)" }
}
