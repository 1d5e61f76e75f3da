import ArgumentParser
import Keel
import KeelBackend
import Synchronization

/// `--shadow`: one launch in N is computed again on the CPU and compared.
struct ShadowOption: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Computes the first launch of each kernel and then one in N again on the CPU, compares, and "
        + "warns where they differ by more than rounding explains.", valueName: "n"))
  var shadow: Int?

  @Flag(help: "With --shadow: a kernel that is found wrong runs on the CPU from then on.")
  var shadowReroute = false

  func validate() throws {
    if let shadow, shadow < 1 {
      throw ValidationError("--shadow must be at least 1, got \(shadow).")
    }
    if shadowReroute, shadow == nil {
      throw ValidationError("--shadow-reroute needs --shadow N, such as --shadow 1000.")
    }
  }

  /// The device, under watch if asked for.
  func watching(_ device: Device) -> Device {
    guard let shadow else { return device }
    let count = Mutex(0)
    return Device(
      ShadowBackend(
        device.backend, reference: Device.cpu.backend, every: shadow,
        policy: shadowReroute ? .reroute : .report
      ) { finding in
        // A kernel that is always wrong must not flood the terminal; the report counts all.
        let number = count.withLock { count in
          count += 1
          return count
        }
        guard number <= 8 else { return }
        KeelCommand.complain("warning: \(finding)")
      })
  }

  /// Prints what the watch over a device has seen.
  func printReport(of device: Device) {
    var backend: any Backend = device.backend
    while let wrapper = backend as? any InterceptingBackend {
      if let shadow = wrapper as? ShadowBackend { print(shadow.report) }
      backend = wrapper.inner
    }
  }
}
