import Keel

/// The devices that tests run on: the CPU device, and the first OpenCL device if there is one.
enum TestDevices {
  static let all: [Device] = {
    var devices = [Device.cpu]
    if let openCL = try? Device.select("opencl").device { devices.append(openCL) }
    return devices
  }()
}
