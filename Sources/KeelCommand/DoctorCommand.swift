import ArgumentParser
import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelCPU
import KeelOpenCL

/// `keel doctor`: what is found on this machine, what is missing, what to do.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Says what is found on this machine, what is missing, and what to do.")

  func run() throws {
    let doctor = OpenCLDoctor()
    section("CPU", cpu())
    section("OpenCL library", library())
    section("OpenCL drivers", doctor.hardware() + doctor.registrations() + doctor.permissions())
    section("OpenCL devices", devices())
    section("Kernel cache", cache())
    let choice = try Device.select("auto")
    print("\nKeel will use \(choice.device): \(choice.reason).")
  }

  private func section(_ title: String, _ findings: [Finding]) {
    print(title)
    for finding in findings {
      print("  [\(finding.state.rawValue)] \(finding.what)")
      if let advice = finding.advice { print("       -> \(advice)") }
    }
  }

  private func cpu() -> [Finding] {
    let info = Device.cpu.info
    return [
      Finding(
        state: .good,
        what: "\(info.name), \(info.computeUnits) cores, \(info.memoryBytes.bytes), "
          + "\(info.driver)")
    ]
  }

  private func library() -> [Finding] {
    if let path = OpenCLDiscovery.shared.library {
      return [Finding(state: .good, what: path)]
    }
    return [
      Finding(
        state: .missing, what: "libOpenCL.so.1 was not found; Keel works on the CPU only",
        advice: "apt install ocl-icd-libopencl1, or set KEEL_OPENCL_LIBRARY to its path")
    ]
  }

  private func devices() -> [Finding] {
    let devices = Device.available().filter { $0.selector != Device.cpu.info.selector }
    let failures = OpenCLDiscovery.shared.failures.map { Finding(state: .missing, what: $0) }
    if devices.isEmpty && failures.isEmpty {
      return [
        Finding(
          state: .missing, what: "none",
          advice: "see the drivers above; without a GPU: apt install pocl-opencl-icd")
      ]
    }
    return devices.map {
      Finding(state: .good, what: "\($0.selector) \($0.name) (\($0.platform), \($0.driver))")
    } + failures
  }

  private func cache() -> [Finding] {
    let folder = OpenCLBinaryCache.standard().folder
    // Made if need be, as the first compiled kernel would.
    if let folder {
      try? FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
    }
    guard let folder, access(folder, W_OK) == 0 else {
      return [
        Finding(
          state: .note, what: "no folder can be written; kernels are compiled at each start",
          advice: "set KEEL_CACHE to a folder that can be written")
      ]
    }
    return [Finding(state: .good, what: folder)]
  }
}
