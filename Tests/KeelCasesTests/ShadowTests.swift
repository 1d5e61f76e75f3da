import Glibc
import KeelAutograd
import KeelBackend
import KeelCPU
import KeelCases
import Synchronization
import Testing

extension CaseTests {
  /// Wrong kernels are caught, right ones are not suspected.
  @Suite(.serialized) struct ShadowTests {
    private let reference: CPUBackend

    init() throws { reference = try CPUBackend() }

    /// A device whose kernel for one method leaves out the last element.
    final class TailFaultBackend: InterceptingBackend {
      let inner: any Backend
      private let method: String
      init(_ inner: any Backend, method: String) { (self.inner, self.method) = (inner, method) }

      func intercept(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
        _ body: DeviceCall
      ) throws(DeviceError) {
        try body(inner, inputs, outputs)
        guard method.hasPrefix(self.method + "("), let out = outputs.first, out.count > 0
        else { return }
        var numbers: [Float] = try inner.scalars(out)
        numbers[out.count - 1] = 0
        try inner.upload(numbers, to: out)
      }
    }

    /// Every fourth case, to be quick; KEEL_SHADOW_ALL=1 takes all.
    @Test(arguments: TestDevices.all) func goodKernelsRaiseNoAlarm(_ device: Device) {
      let step = getenv("KEEL_SHADOW_ALL") == nil ? 4 : 1
      let shadow = ShadowBackend(device.backend, reference: reference, every: 1)
      let runner = CaseRunner(Device(shadow))
      for (number, testCase) in CaseCatalog.small.enumerated() where number % step == 0 {
        _ = runner.check(testCase, isThorough: false)
      }
      let report = shadow.report
      #expect(report.findings.map(\.description) == [])
      #expect(report.checks == report.launches)
      #expect(report.checks > 400)
      #expect(report.checksByMethod.count > 25)
    }

    /// The bounds are not so wide that a wrong element fits: one per cent of the largest.
    @Test func smallFaultsAreFoundInEveryOperation() {
      var unnoticed: [String] = []
      let wrong = WrapperTests.CorruptingBackend(reference)
      for testCase in CaseCatalog.small {
        let shadow = ShadowBackend(wrong, reference: reference, every: 1)
        _ = CaseRunner(Device(shadow)).check(testCase, isThorough: false)
        let report = shadow.report
        if report.findingCount < report.checks { unnoticed.append(testCase.id) }
      }
      // The sum of its gradient check cancels: one per cent of what is left is rounding. Operations
      // of the step hold codes and thresholds, which a rounding moves to another choice.
      #expect(unnoticed.filter { !$0.hasPrefix("gradient_") } == ["pointwise/size_4099"])
    }

    @Test(arguments: TestDevices.all)
    func aBrokenTailIsNamedAndReplaced(_ device: Device) throws {
      let told = Mutex<[ShadowFinding]>([])
      let shadow = ShadowBackend(
        TailFaultBackend(device.backend, method: "matmul"), reference: reference, every: 50,
        policy: .reroute, onFinding: { finding in told.withLock { $0.append(finding) } })
      let watched = Device(shadow)
      func product(_ device: Device, _ scale: Float) throws -> [Float] {
        let a = try Tensor((0..<77).map { Float($0 % 13) * scale - 3 }, shape: [7, 11], on: device)
        let b = try Tensor((0..<55).map { Float($0 % 7) - 2.5 }, shape: [11, 5], on: device)
        return try a.matmul(b).scalars()
      }
      var launches = 0
      while shadow.report.findingCount == 0, launches < 50 {
        _ = try product(watched, Float(launches) * 0.1 + 0.3)
        launches += 1
      }
      let finding = try #require(shadow.report.findings.first)
      #expect(finding.method == "matmul")
      #expect(finding.inputShapes == [[7, 11], [11, 5]])
      #expect(finding.index == 34)
      #expect(finding.got == "0.0")
      #expect((finding.scaledError ?? 0) > 1000)
      #expect("\(finding)".hasPrefix("shadow: matmul on 7x11 and 11x5 gave 0.0 instead of "))
      #expect(told.withLock { $0 } == [finding])
      // From the launch that was found on, the results are the reference's, bit for bit.
      for number in 0..<5 {
        let scale = Float(number) * 0.37 + 0.1
        let (got, expected) = (
          try product(watched, scale), try product(Device(reference), scale)
        )
        #expect(got == expected)
      }
      #expect(shadow.report.reroutedCalls == ["matmul": 6])
      #expect(shadow.report.description.contains("matmul ran on the CPU instead, 6 times"))
    }

    @Test func aRunOnReplacedKernelsEqualsTheReference() throws {
      let other = try CPUBackend()
      let device = Device(
        ShadowBackend(
          TailFaultBackend(reference, method: "optimizerStep"), reference: other,
          every: 1000, policy: .reroute))
      func train(_ device: Device) throws -> [[Float]] {
        let backend = device.backend
        let p = try backend.array((0..<256).map { Float($0) / 100 - 1 }, shape: [256])
        let m = try backend.array([Float](repeating: 0, count: 256), shape: [256])
        let v = try backend.array([Float](repeating: 0, count: 256), shape: [256])
        let scales = try backend.array([Float](repeating: 1, count: 4), shape: [2, 2])
        for step in 1...5 {
          let g = try backend.array(
            (0..<256).map { Float(($0 * step) % 17) / 10 - 0.8 }, shape: [256])
          let update = OptimizerUpdate(
            rule: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), weightDecay: 0,
            decouplesDecay: false)
          var fields = [Float](repeating: 0, count: DecisionField.count)
          for field in [DecisionField.coefficient, .applies, .factor] { fields[field.rawValue] = 1 }
          fields[DecisionField.learningRate.rawValue] = 0.01
          fields[DecisionField.correction1.rawValue] =
            OptimizerUpdate.biasCorrection(0.9, step: UInt64(step))
          fields[DecisionField.correction2.rawValue] =
            OptimizerUpdate.biasCorrection(0.999, step: UInt64(step))
          let decision = try backend.array(fields, shape: [fields.count])
          try backend.optimizerStep(
            update, parameters: p, gradients: g, moments: [m, v], scales: scales,
            decision: decision)
        }
        return [try backend.scalars(p), try backend.scalars(m), try backend.scalars(v)]
      }
      let (got, expected) = (try train(device), try train(Device(reference)))
      #expect(got == expected)
      #expect(got[0].last != 1.55)
    }

    @Test func reportGoesOnAndRaiseThrows() throws {
      let wrong = TailFaultBackend(reference, method: "softmax")
      func probabilities(_ policy: ShadowPolicy) throws -> [Float] {
        let device = Device(
          ShadowBackend(wrong, reference: reference, every: 10, policy: policy))
        return try Tensor([1, 2, 3], shape: [1, 3], on: device).softmax().scalars()
      }
      #expect(try probabilities(.report)[2] == 0)
      #expect(try probabilities(.reroute)[2] > 0.6)
      do {
        _ = try probabilities(.raise)
        Issue.record("nothing was thrown")
      } catch {
        #expect("\(error)".contains("shadow: softmax on 1x3 gave 0.0 instead of 0.66"))
      }
    }

    /// One launch in each window of N, the first of all, and not always the same place.
    @Test func everyMethodIsLookedAtOncePerWindow() throws {
      let shadow = ShadowBackend(reference, reference: reference, every: 8, seed: 3)
      let device = Device(shadow)
      let x = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device)
      var looked: [Int] = []
      for launch in 0..<80 {
        let before = shadow.report.checksByMethod["matmul", default: 0]
        _ = try x.matmul(x)
        if launch % 16 == 0 { _ = try x.softmax() }
        if shadow.report.checksByMethod["matmul", default: 0] > before { looked.append(launch) }
      }
      #expect(looked.map { $0 / 8 } == Array(0..<10))
      #expect(looked.first == 0)
      #expect(Set(looked.map { $0 % 8 }).count > 3)
      #expect(shadow.report.checksByMethod["softmax"] == 1)
    }

    /// Numbers that are none must be none on both sides.
    @Test func swallowedNaNIsFound() throws {
      final class Swallowing: InterceptingBackend {
        let inner: any Backend
        init(_ inner: any Backend) { self.inner = inner }
        func intercept(
          _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
          _ body: DeviceCall
        ) throws(DeviceError) {
          try body(inner, inputs, outputs)
          for out in outputs where out.dtype == .float32 {
            let numbers: [Float] = try inner.scalars(out)
            try inner.upload(numbers.map { $0.isNaN ? 0 : $0 }, to: out)
          }
        }
      }
      let shadow = ShadowBackend(Swallowing(reference), reference: reference, every: 1)
      let device = Device(shadow)
      let x = try Tensor([.nan, 1, 2, 3], shape: [2, 2], on: device)
      _ = try x.exp()
      _ = try x.matmul(x)
      _ = try x.softmax()
      _ = try x.sum()
      #expect(shadow.report.findingCount == 4)
    }
  }
}
