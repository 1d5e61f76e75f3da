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

    /// Tiles that are computed together share their error, and what is not finite.
    @Test(arguments: TestDevices.all, [false, true])
    func tilesRaiseNoAlarm(_ device: Device, hasNaN: Bool) throws {
      let shadow = ShadowBackend(device.backend, reference: reference, every: 1)
      let g = Convolution2DGeometry(
        batch: 8, height: 14, width: 14, inChannels: 64, outChannels: 64, kernel: (3, 3),
        padding: (2, 2, 2, 2))
      func wave(_ shape: Shape) throws -> NDArray {
        var values = (0..<shape.count).map { Float(sin(Double($0) * 0.7)) }
        if hasNaN { values[shape.count / 2] = .nan }
        return try shadow.array(values, shape: shape)
      }
      let (x, filter, dy) = (
        try wave(g.inputShape), try wave(g.filterShape), try wave(g.outputShape)
      )
      try shadow.convolution2D(
        x, filter: filter, g, .none, into: try shadow.allocate(g.outputShape, .float32))
      try shadow.convolution2DInputGradient(
        upstream: dy, filter: filter, g, into: try shadow.allocate(g.inputShape, .float32))
      try shadow.convolution2DFilterGradient(
        x, upstream: dy, g, into: try shadow.allocate(g.filterShape, .float32))
      #expect(shadow.report.checks == 3)
      #expect(shadow.report.findings.map(\.description) == [])
    }

    /// Large terms that cancel in a sum leave an error that is large beside the sum.
    @Test(arguments: TestDevices.all) func sumsThatCancelRaiseNoAlarm(_ device: Device) throws {
      let shadow = ShadowBackend(device.backend, reference: reference, every: 1)
      let (rows, columns) = (21_632, 32)
      let y = try shadow.array(
        [Float](repeating: 1, count: rows * columns), shape: [rows, columns])
      let waves = (0..<rows * columns).map { (index: Int) -> Float in
        let turn = Double(index / columns) / Double(rows)
        return Float(sin(2 * Double.pi * turn)) / Float(index % 7 + 3)
      }
      let dy = try shadow.array(waves, shape: [rows, columns])
      try shadow.biasActivationGradient(
        output: y, upstream: dy, .relu, into: try shadow.allocate([rows, columns], .float32),
        bias: try shadow.allocate([columns], .float32))
      #expect(shadow.report.checks == 1)
      #expect(shadow.report.findings.map(\.description) == [])
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
      // The sum of its gradient check cancels: one per cent of what is left is rounding.
      #expect(unnoticed == ["pointwise/size_4099"])
    }

    /// A device that gets one element of one output of every operation wrong by one per cent of the
    /// element itself, or by one where it is an integer.
    final class ElementFaultBackend: InterceptingBackend {
      let inner: any Backend
      private let output: Int
      private let position: @Sendable (_ count: Int) -> Int
      private let count = Atomic<Int>(0)
      /// How many elements were changed so far.
      var faults: Int { count.load(ordering: .relaxed) }

      init(
        _ inner: any Backend, output: Int, position: @escaping @Sendable (_ count: Int) -> Int
      ) {
        (self.inner, self.output, self.position) = (inner, output, position)
      }

      func intercept(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
        _ body: DeviceCall
      ) throws(DeviceError) {
        try body(inner, inputs, outputs)
        guard output < outputs.count, outputs[output].count > 0 else { return }
        let (out, index) = (outputs[output], position(outputs[output].count))
        switch out.dtype {
        case .float32:
          var values: [Float] = try inner.scalars(out)
          let value = values[index]
          values[index] = !value.isFinite ? 7 : value == 0 ? 0.01 : 1.01 * value
          try inner.upload(values, to: out)
        case .int32:
          var values: [Int32] = try inner.scalars(out)
          values[index] += 1
          try inner.upload(values, to: out)
        case .uint8:
          var values: [UInt8] = try inner.scalars(out)
          values[index] ^= 1
          try inner.upload(values, to: out)
        case .float16, .bfloat16:
          var values: [Float] = try inner.scalars(out)
          values[index] = values[index].isFinite ? values[index] + 1 : 7
          try inner.upload(halves: values, to: out)
        }
        count.add(1, ordering: .relaxed)
      }
    }

    /// Norms, counts, decisions, coefficients and what rules keep: every output of what a step does
    /// with its gradients, at its first and its last element.
    @Test(arguments: [0, 1, 2, 3, 4], [false, true])
    func smallFaultsOfTheStepAreFoundInEveryOutput(_ output: Int, atTheEnd: Bool) throws {
      var (unnoticed, faults) = ([String](), 0)
      let operations: [OperationName] = [
        .gradientTelescope, .stepControl, .gradientClip, .gradientNoise,
      ]
      for testCase in operations.flatMap(CaseCatalog.cases(of:))
      where testCase.sizeClass == .small {
        let wrong = ElementFaultBackend(reference, output: output) { atTheEnd ? $0 - 1 : 0 }
        let shadow = ShadowBackend(wrong, reference: reference, every: 1)
        _ = CaseRunner(Device(shadow)).check(testCase, isThorough: false)
        faults += wrong.faults
        if Int(shadow.report.findingCount) < wrong.faults { unnoticed.append(testCase.id) }
      }
      // One per cent of the smallest number is flushed to zero on some devices; the norm of the
      // largest is infinite after a rounding.
      let excused: Set = ["gradient_telescope/smallest", "gradient_telescope/largest_number"]
      #expect(Set(unnoticed).isSubset(of: excused), "\(unnoticed)")
      #expect(faults > 10)
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
