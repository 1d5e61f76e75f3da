import Foundation
import Testing

/// Devices: the list, the choice, and what cannot be had.
@Suite struct DeviceTests {
  /// Whether the program finds an OpenCL device here.
  static let hasOpenCL: Bool = {
    let found = (try? Workbench().keel("devices").output.contains("opencl:0")) ?? false
    if !found, ProcessInfo.processInfo.environment["KEEL_REQUIRE_OPENCL"] != nil {
      Issue.record("no OpenCL device was found, but KEEL_REQUIRE_OPENCL is set")
    }
    return found
  }()

  @Test("The list says what each device is, and which is the default and why")
  func lists() throws {
    let outcome = try Workbench().keel("devices", "--device", "cpu")
    #expect(outcome.status == 0)
    #expect(outcome.output.hasPrefix("cpu  (default)\n"))
    for field in [
      "name", "vendor", "platform", "driver", "version", "class", "memory", "compute units",
      "used for",
    ] { #expect(outcome.output.contains("\n  \(field) ")) }
    #expect(outcome.output.contains("The default is cpu ("))
    #expect(outcome.output.contains("asked for as 'cpu'"))
  }

  @Test(
    "An unknown device is told with those there are",
    arguments: ["riva-tnt2", "opencl:99", "opencl:x", "opencl:0.99", ""])
  func refusesDevices(_ selector: String) throws {
    let bench = Workbench()
    let byOption = try bench.keel(Workbench.training + ["--device", selector, "--out", "run"])
    expectRefusal(
      byOption, status: 3, saying: "no device matches '\(selector)'; available: cpu (")
    let byVariable = try bench.keel(
      ["train", "--quick", "--out", "run"], environment: ["KEEL_DEVICE": selector])
    if !selector.isEmpty {
      expectRefusal(byVariable, status: 3, saying: "no device matches '\(selector)'")
      #expect(try bench.names() == [])
    }
  }

  @Test("KEEL_DEVICE is the default, and --device overrides it")
  func readsVariable() throws {
    let bench = Workbench()
    let chosen = try bench.keel(["devices"], environment: ["KEEL_DEVICE": "CPU"])
    #expect(chosen.output.contains("asked for as 'CPU'"))
    let overridden = try bench.keel(
      ["devices", "--device", "cpu"], environment: ["KEEL_DEVICE": "nonsense"])
    #expect(overridden.status == 0)
  }

  @Test("A network too large for the device", arguments: ["cpu", "opencl"])
  func refusesLargeNetwork(_ device: String) throws {
    guard device == "cpu" || Self.hasOpenCL else { return }
    let bench = Workbench()
    func train(_ widths: String...) throws -> Outcome {
      try bench.keel(
        [
          "train", "--device", device, "--train", "60", "--test", "20", "--out", "run", "--model",
          "mlp", "--hidden",
        ] + widths)
    }
    let large = try train("999999999")
    expectRefusal(
      large, status: 3, saying: "memory exhausted: asked for 9", "bytes, about", "available")
    expectRefusal(try train("1000000", "1000000"), status: 3, saying: "memory exhausted")
    expectRefusal(try train("99999999999999999"), saying: "dense1 (Dense)", "fit a memory")
    #expect(try bench.names() == [])
  }

  @Test("The doctor says what is found and what Keel will use")
  func examines() throws {
    let outcome = try Workbench().keel("doctor")
    #expect(outcome.status == 0)
    for section in [
      "CPU", "OpenCL library", "OpenCL drivers", "OpenCL devices", "Kernel cache",
    ] { #expect(outcome.output.contains("\(section)\n  [")) }
    #expect(outcome.output.contains("Keel will use "))
  }

  @Test("Without an OpenCL library the CPU works, and the doctor says what to do")
  func worksWithoutOpenCL() throws {
    let bench = Workbench()
    let nowhere = ["OCL_ICD_VENDORS": bench.path + "/none"]
    let doctor = try bench.keel(["doctor"], environment: nowhere)
    #expect(doctor.status == 0)
    #expect(doctor.output.contains("no driver is registered in \(bench.path)/none"))
    #expect(doctor.output.contains("-> install your GPU's OpenCL driver"))
    let asked = try bench.keel(["devices", "--device", "opencl"], environment: nowhere)
    expectRefusal(asked, status: 3, saying: "no device matches 'opencl'; available: cpu (")
    let chosen = try bench.keel(["devices"], environment: nowhere)
    #expect(chosen.output.contains("no OpenCL GPU here; chosen by auto"))
  }
}
