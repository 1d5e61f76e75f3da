import ArgumentParser
import Glibc
import Keel

/// The option `--device`, shared by all commands that compute.
struct DeviceOption: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "cpu, opencl, opencl:INDEX, opencl:PLATFORM.DEVICE, part of a device's name, or auto. "
        + "Default: KEEL_DEVICE, else auto.",
      valueName: "device"))
  var device: String?

  /// What the user asked for: the option, else KEEL_DEVICE, else `auto`.
  var selector: String {
    device ?? getenv("KEEL_DEVICE").map { String(cString: $0) } ?? "auto"
  }

  /// Opens the device and prints which one it is and why.
  func open(quietly: Bool = false) throws -> Device {
    let choice = try Device.select(selector)
    if !quietly { print("device: \(choice.device): \(choice.reason)") }
    return choice.device
  }
}
