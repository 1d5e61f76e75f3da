import Glibc
import KeelBackend
import KeelCPU
import KeelOpenCL

/// The devices that cases run on: the CPU device and every OpenCL device found, opened for these
/// tests alone, so that no other test moves their counters or their class.
enum TestDevices {
  static let all: [Device] = {
    var devices: [Device] = []
    do throws(DeviceError) {
      devices.append(Device(try CPUBackend()))
    } catch {
      print("skipped: every case on the CPU device, because \(error)")
    }
    let discovery = OpenCLDiscovery.shared
    for failure in discovery.failures { print("skipped: \(failure)") }
    if discovery.devices.isEmpty {
      print("skipped: every case on OpenCL, because no OpenCL device was found")
    }
    for entry in discovery.devices {
      do throws(DeviceError) {
        devices.append(Device(try OpenCLBackend(entry)))
      } catch {
        print("skipped: every case on \(entry.description.selector), because \(error)")
      }
    }
    return devices
  }()

  static let openCL = all.filter { $0.backend.innermost is OpenCLBackend }

  /// Set where a machine must have an OpenCL device, such as in continuous integration.
  static let requiresOpenCL: Bool = {
    guard let value = getenv("KEEL_REQUIRE_OPENCL") else { return false }
    return String(cString: value) == "1"
  }()
}
