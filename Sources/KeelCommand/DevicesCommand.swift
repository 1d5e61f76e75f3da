import ArgumentParser
import Keel
import KeelBackend

/// `keel devices`: every platform and device, what each is used for, and the default.
struct DevicesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices",
    abstract: "Lists every platform and device, and which one is the default and why.")

  @OptionGroup var option: DeviceOption

  func run() throws {
    let choice = try Device.select(option.selector)
    for description in Device.available() {
      let isDefault = description.selector == choice.device.info.selector
      print("\(description.selector)\(isDefault ? "  (default)" : "")")
      var table: [(String, String)] = [
        ("name", description.name), ("vendor", description.vendor),
        ("platform", description.platform), ("driver", description.driver),
        ("version", description.version), ("class", description.kind.rawValue),
        ("memory", description.memoryBytes.bytes),
        ("compute units", "\(description.computeUnits)"),
      ]
      table.append(("used for", Device.purpose(of: description)))
      for (name, value) in table {
        print("  \(name)" + String(repeating: " ", count: 15 - name.count) + value)
      }
    }
    print("\nThe default is \(choice.device): \(choice.reason).")
    if let trouble = Device.openCLTrouble() { print("OpenCL: \(trouble) Run 'keel doctor'.") }
  }
}
