import KeelBackend
import KeelCases
import KeelOpenCL
import Testing

/// Everything that runs cases on devices, one after the other.
@Suite(.serialized) enum CaseTests {}

extension CaseTests {
  /// Every case on every device against its oracle in Double.
  @Suite(.serialized) struct ParityTests {
    @Test func aRequiredOpenCLDeviceIsThere() {
      #expect(TestDevices.all.contains { $0.info.selector == "cpu" })
      #expect(!TestDevices.requiresOpenCL || !TestDevices.openCL.isEmpty)
    }

    @Test(arguments: TestDevices.all, OperationName.allCases)
    func everyCasePasses(device: Device, operation: OperationName) throws {
      let runner = CaseRunner(device)
      let cases = CaseCatalog.cases(of: operation).filter { $0.sizeClass == .small }
      #expect(!cases.isEmpty)
      for one in cases { expect(runner.check(one)) }

      // Now that everything is warm: what a case takes it gives back.
      try device.synchronize()
      let before = device.counters.liveBytes
      for one in cases { _ = runner.check(one, isThorough: false) }
      try device.synchronize()
      #expect(device.counters.liveBytes == before, "\(operation) keeps memory on \(device)")
    }

    @Test(arguments: TestDevices.all)
    func badCallsAreRefused(device: Device) {
      let runner = CaseRunner(device)
      for one in CaseCatalog.errors { expect(runner.check(one)) }
    }
  }

  /// The kernels for the class of device that this machine's OpenCL devices are not.
  @Suite(.serialized) struct OtherClassTests {
    @Test(arguments: TestDevices.openCL, OperationName.allCases)
    func everyCasePasses(device: Device, operation: OperationName) throws {
      guard let backend = device.backend.innermost as? OpenCLBackend else { return }
      let before = backend.setClass(!backend.isCPUClass)
      defer { _ = backend.setClass(before) }
      let runner = CaseRunner(device)
      for one in CaseCatalog.cases(of: operation) where one.sizeClass == .small {
        expect(runner.check(one))
      }
    }
  }

  /// Nothing is written outside an output, nothing unwritten is read.
  @Suite(.serialized) struct GuardTests {
    @Test(arguments: TestDevices.all, [false, true])
    func guardsStayWhole(device: Device, otherClass: Bool) throws {
      var before: Bool?
      let backend = device.backend.innermost as? OpenCLBackend
      if otherClass {
        guard let backend else { return }
        before = backend.setClass(!backend.isCPUClass)
      }
      defer { if otherClass { _ = backend?.setClass(before) } }
      let runner = CaseRunner(Device(GuardedBackend(device.backend)))
      for one in CaseCatalog.small { expect(runner.check(one, isThorough: false)) }
    }
  }
}

/// Records a failed case with the line that repeats it.
func expect(_ result: CaseResult, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(
    result.passed, "\(result.id): \(result.message)\n  \(result.command)",
    sourceLocation: sourceLocation)
}
