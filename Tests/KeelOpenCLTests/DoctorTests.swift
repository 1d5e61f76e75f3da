import FoundationEssentials
import KeelOpenCL
import Testing

/// A machine laid out in a folder.
private final class Machine {
  let root: String

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/keel-doctor-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: root + "/etc/OpenCL/vendors", withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func add(_ path: String, _ text: String = "") throws {
    let folder = path.split(separator: "/").dropLast().joined(separator: "/")
    try FileManager.default.createDirectory(
      atPath: root + "/" + folder, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: root + path))
  }

  var doctor: OpenCLDoctor {
    OpenCLDoctor(root: root, vendors: root + "/etc/OpenCL/vendors")
  }
}

@Suite struct DoctorTests {
  @Test func anEmptyMachineNeedsADriver() throws {
    let machine = try Machine()
    #expect(machine.doctor.hardware().isEmpty)
    #expect(machine.doctor.permissions().isEmpty)
    let findings = machine.doctor.registrations()
    #expect(findings.map(\.state) == [.missing])
    #expect(findings[0].what.contains("no driver is registered"))
    #expect(findings[0].advice?.contains("pocl-opencl-icd") == true)
  }

  @Test func aCardWithoutADriverIsNamedWithItsPackage() throws {
    let machine = try Machine()
    try machine.add("/dev/nvidiactl")
    let findings = machine.doctor.hardware()
    #expect(findings.map(\.state) == [.missing])
    #expect(findings[0].what.contains("/dev/nvidiactl"))
    #expect(findings[0].advice?.contains("nvidia-opencl-icd") == true)
  }

  @Test func aCardIsKnownByItsVendorNumber() throws {
    let machine = try Machine()
    try machine.add("/sys/class/drm/renderD128/device/vendor", "0x8086\n")
    let findings = machine.doctor.hardware()
    #expect(findings.map(\.state) == [.missing])
    #expect(findings[0].what == "Intel hardware (/dev/dri/renderD128) without libigdrcl.so")
  }

  @Test func aDriverThatIsNotRegisteredSaysHowTo() throws {
    let machine = try Machine()
    try machine.add("/dev/nvidia0")
    try machine.add("/usr/lib/x86_64-linux-gnu/libnvidia-opencl.so.1")
    let before = machine.doctor.hardware()
    #expect(before.map(\.state) == [.missing])
    #expect(before[0].advice?.contains("/etc/OpenCL/vendors/nvidia.icd") == true)
    try machine.add("/etc/OpenCL/vendors/nvidia.icd", "libnvidia-opencl.so.1\n")
    #expect(machine.doctor.hardware().map(\.state) == [.good])
  }

  @Test func aRegisteredLibraryThatIsMissingIsNamed() throws {
    let machine = try Machine()
    try machine.add("/etc/OpenCL/vendors/gone.icd", "/opt/gone/libgone.so.1\n")
    try machine.add("/etc/OpenCL/vendors/empty.icd")
    try machine.add("/etc/OpenCL/vendors/libc.icd", "libc.so.6\n")
    try machine.add("/etc/OpenCL/vendors/notes.txt", "not a driver")
    let findings = machine.doctor.registrations()
    #expect(findings.map(\.state) == [.missing, .missing, .good])
    #expect(findings[0].what.contains("empty.icd is empty"))
    #expect(findings[1].what.contains("gone.icd names /opt/gone/libgone.so.1"))
    #expect(findings[1].what.contains("No such file"))
  }

  @Test func aNodeThatMayNotBeOpenedNamesTheRemedy() throws {
    let machine = try Machine()
    try machine.add("/dev/dri/renderD128")
    try machine.add("/dev/dri/card0")
    try machine.add("/dev/nvidiactl")
    var doctor = machine.doctor
    #expect(doctor.permissions().isEmpty)
    doctor.mayOpen = { _ in false }
    let findings = doctor.permissions()
    #expect(findings.map(\.what).count == 2)
    #expect(findings[0].what.contains("/dev/dri/renderD128"))
    #expect(findings[0].advice?.contains("render,video") == true)
    #expect(findings[1].what.contains("/dev/nvidiactl"))
  }
}
