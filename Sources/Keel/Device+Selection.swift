public import KeelBackend
internal import KeelCPU
internal import KeelOpenCL

/// A device and why it was chosen.
public struct DeviceChoice: Sendable {
  /// The device, open.
  public let device: Device
  /// Such as `the first GPU` or `asked for as cpu`.
  public let reason: String
}

extension Device {
  /// The CPU device: oneDNN and vectorised loops on all cores.
  public static let cpu: Device = {
    do throws(DeviceError) {
      return Device(try CPUBackend())
    } catch {
      // Only a broken oneDNN gets here, and nothing can run without it.
      fatalError("the CPU device does not start: \(error)")
    }
  }()

  /// An OpenCL device by its index over all platforms, as `keel devices` lists them.
  ///
  /// - Throws: ``DeviceError/notFound(selector:available:)`` if there is none.
  public static func openCL(_ index: Int = 0) throws(DeviceError) -> Device {
    try select("opencl:\(index)").device
  }

  /// The first GPU of any platform, else the CPU device.
  public static var best: Device { (try? select("auto").device) ?? cpu }

  /// Every device there is: the CPU device, then the OpenCL devices of all platforms.
  public static func available() -> [DeviceDescription] {
    [cpu.info] + OpenCLDiscovery.shared.devices.map(\.description)
  }

  /// Opens the device that a selector names.
  ///
  /// - Parameter selector: `cpu`; `opencl` (a GPU first, else the first device); `opencl:INDEX`
  ///   over all platforms; `opencl:PLATFORM.DEVICE`; part of a device's name, in any case; or
  ///   `auto` (a GPU if there is one, else the CPU device).
  /// - Throws: ``DeviceError/notFound(selector:available:)``, which lists the devices there are.
  public static func select(_ selector: String) throws(DeviceError) -> DeviceChoice {
    let entries = OpenCLDiscovery.shared.devices
    let gpu = entries.first { $0.description.kind == .gpu }
    switch selector.lowercased() {
    case "cpu":
      return DeviceChoice(device: cpu, reason: "asked for as '\(selector)'")
    case "auto":
      if let gpu {
        return DeviceChoice(
          device: try open(gpu), reason: "the first GPU; chosen by auto")
      }
      return DeviceChoice(device: cpu, reason: "no OpenCL GPU here; chosen by auto")
    case "opencl":
      guard let entry = gpu ?? entries.first else { throw notFound(selector) }
      return DeviceChoice(
        device: try open(entry),
        reason: gpu == nil ? "the first OpenCL device; none is a GPU" : "the first OpenCL GPU")
    default:
      if let entry = entry(addressed: selector, in: entries) {
        return DeviceChoice(
          device: try open(entry), reason: "asked for as '\(selector)'")
      }
      return try select(named: selector, in: entries)
    }
  }

  /// Keeps kernels that were compiled since the start on disk, so that the next start loads them.
  ///
  /// For the end of a program: it takes about as long as compiling them took. Where it is not
  /// called, drivers' own caches still help.
  public static func saveCompiledKernels() { OpenCLBackend.savePrograms() }

  /// The one open device of an entry of the list.
  private static func open(_ entry: OpenCLDeviceEntry) throws(DeviceError) -> Device {
    Device(try OpenCLBackend.open(entry))
  }

  /// The device that `opencl:INDEX` or `opencl:PLATFORM.DEVICE` addresses, if any.
  private static func entry(
    addressed selector: String, in entries: [OpenCLDeviceEntry]
  ) -> OpenCLDeviceEntry? {
    guard selector.lowercased().hasPrefix("opencl:") else { return nil }
    let parts = selector.dropFirst("opencl:".count)
      .split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
    switch parts.count {
    case 1: return entries.first { $0.index == parts[0] }
    case 2:
      return entries.first { $0.platformIndex == parts[0] && $0.deviceIndex == parts[1] }
    default: return nil
    }
  }

  /// The first device whose name contains the text: OpenCL devices, then the CPU device.
  private static func select(
    named text: String, in entries: [OpenCLDeviceEntry]
  ) throws(DeviceError) -> DeviceChoice {
    let wanted = text.lowercased()
    if !wanted.isEmpty {
      let reason = "its name contains '\(text)'"
      if let entry = entries.first(where: { $0.description.name.lowercased().contains(wanted) }) {
        return DeviceChoice(device: try open(entry), reason: reason)
      }
      if cpu.info.name.lowercased().contains(wanted) {
        return DeviceChoice(device: cpu, reason: reason)
      }
    }
    throw notFound(text)
  }

  private static func notFound(_ selector: String) -> DeviceError {
    .notFound(
      selector: selector, available: available().map { "\($0.selector) (\($0.name))" })
  }

  /// What Keel uses a device for, in words.
  package static func purpose(of description: DeviceDescription) -> String {
    switch (description.selector, description.kind) {
    case ("cpu", _): "training with oneDNN and vectorised loops; the fallback of auto"
    case (_, .gpu): "training with local-memory tile kernels; the first one is auto's choice"
    case (_, .accelerator): "training with local-memory tile kernels, if asked for"
    case (_, .cpu): "training with wide-vector kernels, parity tests, if asked for"
    }
  }

  /// Why there is no OpenCL, in one sentence, or nil if there is.
  package static func openCLTrouble() -> String? {
    let discovery = OpenCLDiscovery.shared
    if discovery.library == nil { return "no OpenCL library was found on this machine." }
    if discovery.devices.isEmpty { return "the library is there, but no driver offers a device." }
    return discovery.failures.first
  }
}
