internal import KeelBackend
internal import KeelCPU
internal import KeelOpenCL
internal import Synchronization

/// The devices opened so far: each is opened once, when it is first asked for.
enum OpenDevices {
  private static let opened = Mutex<[Int: Device]>([:])

  static let cpu = Device(CPUBackend())

  /// The OpenCL device at a flat index over all platforms.
  static func openCL(_ entry: OpenCLDeviceEntry) throws(DeviceError) -> Device {
    let result: Result<Device, DeviceError> = opened.withLock { opened in
      if let device = opened[entry.index] { return .success(device) }
      do throws(DeviceError) {
        let device = Device(try OpenCLBackend(entry))
        opened[entry.index] = device
        return .success(device)
      } catch { return .failure(error) }
    }
    return try result.get()
  }
}
