import Keel
import Testing

/// The choice of a device by selector.
@Suite struct SelectionTests {
  private var openCL: [DeviceDescription] { Device.available().filter { $0.selector != "cpu" } }

  private func reason(_ selector: String) throws -> String { try Device.select(selector).reason }

  @Test func theCPUIsAlwaysThere() throws {
    #expect(Device.available().first?.selector == "cpu")
    #expect(try Device.select("cpu").device == .cpu)
    #expect(try Device.select("CPU").device == .cpu)
    #expect(try reason("cpu") == "asked for as 'cpu'")
  }

  @Test func autoTakesAGPUElseTheCPU() throws {
    let choice = try Device.select("auto")
    if let gpu = openCL.first(where: { $0.kind == .gpu }) {
      #expect(choice.device.info.selector == gpu.selector)
      #expect(choice.reason == "the first GPU; chosen by auto")
    } else {
      #expect(choice.device == .cpu)
      #expect(choice.reason == "no OpenCL GPU here; chosen by auto")
    }
    #expect(Device.best == choice.device)
  }

  @Test func partOfANameSelects() throws {
    let name = Device.cpu.info.name
    // Unless an OpenCL device of this machine carries the same name.
    if !openCL.contains(where: { $0.name.lowercased().contains(name.lowercased()) }) {
      #expect(try Device.select(name.uppercased()).device == .cpu)
    }
    for description in openCL {
      let choice = try Device.select(String(description.name.prefix(12)).uppercased())
      #expect(choice.device.info.name.hasPrefix(description.name.prefix(12)))
      #expect(choice.reason.hasPrefix("its name contains '"))
    }
  }

  @Test func openCLDevicesHaveAddresses() throws {
    for (index, description) in openCL.enumerated() {
      #expect(description.selector == "opencl:\(index)")
      #expect(try Device.openCL(index).info == description)
      #expect(try reason("opencl:\(index)") == "asked for as 'opencl:\(index)'")
    }
    guard let first = openCL.first else { return }
    #expect(try Device.select("opencl:0.0").device.info == first)
    let preferred = openCL.first { $0.kind == .gpu } ?? first
    #expect(try Device.select("opencl").device.info == preferred)
    #expect(try reason("opencl").hasPrefix("the first OpenCL "))
  }

  @Test(arguments: [
    "opencl:99", "opencl:0.99", "opencl:-1", "opencl:", "opencl:a.b.c", "", "toaster",
  ])
  func anUnknownSelectorListsWhatThereIs(_ selector: String) {
    let expected = Device.available().map { "\($0.selector) (\($0.name))" }
    #expect(throws: DeviceError.notFound(selector: selector, available: expected)) {
      try Device.select(selector)
    }
  }
}
