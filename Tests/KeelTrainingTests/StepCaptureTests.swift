import Keel
import KeelAutograd
import KeelBackend
import KeelCPU
import KeelData
import KeelNN
import KeelOpenCL
import KeelStability
import KeelTraining
import Testing

/// A device of its own: its counters are nobody else's.
private let captureDevice = OpenCLDiscovery.shared.devices.first.flatMap {
  try? OpenCLBackend($0)
}

/// A training whose steps are repeated from a record is bit for bit the one whose steps are not.
@Suite("Step capture", .enabled(if: captureDevice != nil), .serialized)
struct StepCaptureTests {

  private func onBothClasses(_ body: (Device) throws -> Void) throws {
    let backend = try #require(captureDevice)
    defer { _ = backend.setClass(nil) }
    for cpuClass in [true, false] {
      _ = backend.setClass(cpuClass)
      try body(Device(backend))
    }
  }

  private func trainer(
    _ network: Sequential, _ device: Device,
    _ stability: Stability = Stability(clip: [.globalNorm(1)]),
    precision: Precision = .float32, captures: Bool
  ) throws -> Trainer {
    let model = try Model(
      network, input: [8, 8, 1], device: device, seed: 7, precision: precision)
    let trainer = try model.compile(
      optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy(), stability: stability)
    trainer.capturesSteps = captures
    return trainer
  }

  /// Trains twice and compares.
  ///
  /// - Returns: what the captured training did, and its trainer.
  @discardableResult
  private func compare(
    _ network: Sequential = Self.convolutions,
    _ stability: Stability = Stability(clip: [.globalNorm(1)]),
    on device: Device, data: Dataset? = nil, epochs: Int = 2, accumulation: Int = 1,
    precision: Precision = .float32,
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws -> CaptureSummary {
    let data = try data ?? TestData.columns(50)
    let plain = try trainer(
      network, device, stability, precision: precision, captures: false)
    let expected = try plain.fit(
      data, epochs: epochs, batchSize: 8, gradientAccumulation: accumulation)
    #expect(expected.capture.replays == 0, sourceLocation: sourceLocation)
    let first = try TestData.bits(plain.model)
    let captured = try trainer(
      network, device, stability, precision: precision, captures: true)
    let result = try captured.fit(
      data, epochs: epochs, batchSize: 8, gradientAccumulation: accumulation)
    #expect(try TestData.bits(captured.model) == first, sourceLocation: sourceLocation)
    #expect(result.history.steps == expected.history.steps, sourceLocation: sourceLocation)
    return result.capture
  }

  private static var convolutions: Sequential {
    Sequential {
      Conv2D(4, kernel: 3, activation: .relu)
      MaxPool2D(2)
      Flatten()
      Dense(16, activation: .relu)
      Dense(4)
    }
  }

  @Test func networksOfEveryKind() throws {
    let networks: [(String, Sequential)] = [
      ("convolutions", Self.convolutions),
      ("batch normalisation and dropout", TestData.network),
      (
        "LSTM",
        Sequential {
          RowsAsSteps(); LSTM(6); Dense(4)
        }
      ),
      (
        "residual",
        Sequential {
          Residual(activation: .relu) { Conv2D(1, kernel: 3, padding: .same) }
          DenseConnection {
            Conv2D(2, kernel: 1); LayerNorm()
          }
          Flatten()
          Dense(4)
        }
      ),
    ]
    try onBothClasses { device in
      for (name, network) in networks {
        // 14 steps: the last batch of an epoch is a smaller one.
        let capture = try compare(network, on: device)
        #expect(capture.replays >= 8, "\(name)")
        #expect(capture.signatures >= 2, "\(name)")
        #expect(capture.declined == nil, "\(name)")
      }
    }
  }

  @Test(arguments: [Precision.float16, .bfloat16])
  func activationsInSixteenBits(_ precision: Precision) throws {
    try onBothClasses { device in
      let capture = try compare(TestData.network, on: device, precision: precision)
      #expect(capture.replays >= 8 && capture.declined == nil)
    }
  }

  @Test func everyFormOfClipping() throws {
    let chains: [ClipChain] = [
      [], [.elementwise(0.01)], [.perTensorNorm(0.1)], [.globalMaxAbs(0.05)], [.unitwise()],
      [.autoClip(percentile: 30, window: 8)], [.zClip(warmUp: 3)], [.adaGC(warmUp: 3)],
      [.perTensorNorm(0.2), .elementwise(0.05), .globalNorm(0.1)],
    ]
    let device = Device(try #require(captureDevice))
    for chain in chains {
      let capture = try compare(Self.perceptron, Stability(clip: chain), on: device)
      #expect(capture.replays >= 8 && capture.declined == nil, "\(chain)")
    }
    let each = try compare(
      Sequential {
        Flatten(); Dropout(0.3); Dense(4)
      }, Stability(clip: [.perExample(0.1)]),
      on: device, data: TestData.columns(24), epochs: 3)
    #expect(each.replays >= 4 && each.declined == nil)
  }

  private static var perceptron: Sequential {
    Sequential {
      Flatten(); Dense(8, activation: .relu); Dense(4)
    }
  }

  @Test func whatStepsDoBesides() throws {
    let device = Device(try #require(captureDevice))
    for stability in [
      Stability(clip: [.globalNorm(1)], penalties: [.orthogonal(0.01), .l1(1e-4)]),
      Stability(penalties: [.l1Proximal(1e-3)], constraints: [.maximumNorm(0.8)]),
      Stability(constraints: [.spectralNorm(0.9)]),
      Stability(noise: .uniform(amplitude: 1e-3)),
      Stability(lossScale: 128), Stability(coordinates: .cyclic), Stability(coordinates: .random),
      Stability(flip: try DeadlyFlip(.incoming, volatile: 1e-2, calm: 9e-3, period: 3)),
      Stability(
        clip: [.zClip(warmUp: 3)],
        equity: PeriodicEquity(
          try EquityTransform(), ifImbalanceAbove: 1, every: 3, memory: 0.9)),
      Stability(shrink: try .recommended(shrink: 0.9, every: 4)),
    ] {
      let capture = try compare(Self.perceptron, stability, on: device)
      #expect(capture.replays >= 8 && capture.declined == nil, "\(stability)")
    }
  }

  @Test func accumulationOverBatches() throws {
    try onBothClasses { device in
      let capture = try compare(TestData.network, on: device, epochs: 3, accumulation: 3)
      #expect(capture.replays >= 3)
    }
  }

  @Test func aStepThatIsLeftOut() throws {
    let device = Device(try #require(captureDevice))
    var pixels: [Float] = []
    let data = try TestData.columns(48)
    for example in 0..<48 {
      guard case .bytes(let bytes) = data.example(at: example) else { continue }
      pixels += bytes.map { Float($0) / 255 }
    }
    pixels[40 * 64 + 9] = .nan
    let poisoned = try Dataset(
      features: pixels, extents: [8, 8, 1], labels: data.labels, classCount: 4)
    for policy in [FaultPolicy.skipStep, .rewind] {
      let plain = try trainer(TestData.network, device, Stability(onFault: policy), captures: false)
      let one = try plain.fit(poisoned, epochs: 3, batchSize: 8)
      let captured = try trainer(
        TestData.network, device, Stability(onFault: policy), captures: true)
      let other = try captured.fit(poisoned, epochs: 3, batchSize: 8)
      // Not a comparison of values: a NaN equals nothing.
      #expect(other.history.steps.map { "\($0)" } == one.history.steps.map { "\($0)" })
      #expect(other.history.faults.map { "\($0)" } == one.history.faults.map { "\($0)" })
      #expect(!other.history.faults.isEmpty)
      #expect(try TestData.bits(captured.model) == TestData.bits(plain.model))
      #expect(other.capture.replays >= 5)
    }
  }

  @Test func aTrainingThatIsStoppedAndGoesOn() throws {
    let device = Device(try #require(captureDevice))
    let data = try TestData.columns(50)
    let whole = try trainer(TestData.network, device, captures: false)
    try whole.fit(data, epochs: 3, batchSize: 8)
    try withFolder { folder in
      let watcher = Watcher()
      watcher.stopsAfter = 9
      let stopped = try trainer(TestData.network, device, captures: true).fit(
        data, epochs: 3, batchSize: 8, output: RunFolder(new: folder + "/run"),
        callbacks: [watcher])
      #expect(stopped.capture.replays > 0)
      let run = try RunFolder(existing: folder + "/run")
      let going = try trainer(TestData.network, device, captures: true)
      try going.restore(from: run)
      let result = try going.fit(data, epochs: 3, batchSize: 8, output: run)
      #expect(result.capture.replays > 0)
      #expect(try TestData.bits(going.model) == TestData.bits(whole.model))
      #expect(going.history.steps == whole.history.steps)
    }
  }

  @Test func parametersThatAreFrozenOnTheWay() throws {
    let device = Device(try #require(captureDevice))
    func train(captures: Bool) throws -> (bits: [[UInt32]], capture: CaptureSummary) {
      let trainer = try trainer(TestData.network, device, captures: captures)
      let watcher = Watcher()
      watcher.onStep = { step in
        if step == 8 { try? trainer.model.freeze("dense1") }
        if step == 16 { trainer.updater.learningRate = 1e-2 }
      }
      let result = try trainer.fit(
        TestData.columns(64), epochs: 4, batchSize: 8, callbacks: [watcher])
      return (try TestData.bits(trainer.model), result.capture)
    }
    let (plain, captured) = (try train(captures: false), try train(captures: true))
    #expect(plain.bits == captured.bits)
    #expect(captured.capture.replays >= 20)
  }

  /// Products that begin to round their operands are other kernels than those recorded.
  @Test func productsOfAnotherPrecisionOnTheWay() throws {
    let backend = try #require(captureDevice)
    _ = backend.setClass(false)
    defer { _ = backend.setClass(nil) }
    func train(captures: Bool, rounds: Bool = true) throws -> [[UInt32]] {
      defer { backend.setTileProduct(.multiplyAdd) }
      let trainer = try trainer(TestData.network, Device(backend), captures: captures)
      let watcher = Watcher()
      watcher.onStep = { if $0 == 8, rounds { backend.setTileProduct(.tensorCoresPlayed) } }
      try trainer.fit(TestData.columns(64), epochs: 2, batchSize: 8, callbacks: [watcher])
      return try TestData.bits(trainer.model)
    }
    let plain = try train(captures: false)
    #expect(try train(captures: true) == plain)
    #expect(try train(captures: true, rounds: false) != plain)
  }

  /// Repeated steps have the launches of others, and neither ask for memory nor wait.
  @Test func countsOfRepeatedSteps() throws {
    let device = Device(try #require(captureDevice))
    func counts(captures: Bool) throws -> (launches: [Int], last: DeviceCounters, peak: Int) {
      let trainer = try trainer(TestData.network, device, captures: captures)
      trainer.progressInterval = .seconds(60)
      let watcher = Watcher()
      var seen: [DeviceCounters] = []
      watcher.onStep = { _ in seen.append(device.counters) }
      device.resetPeakBytes()
      let before = device.counters.liveBytes
      try trainer.fit(TestData.columns(128), epochs: 1, batchSize: 8, callbacks: [watcher])
      let peak = device.counters.peakBytes - before
      let steps = zip(seen.dropFirst(8), seen.dropFirst(7)).map { $0.launches - $1.launches }
      var change = DeviceCounters()
      change.allocations = seen[15].allocations - seen[7].allocations
      change.blockingReads = seen[15].blockingReads - seen[7].blockingReads
      return (steps, change, peak)
    }
    let (plain, captured) = (try counts(captures: false), try counts(captures: true))
    #expect(captured.launches == plain.launches)
    #expect(captured.last.allocations == 0)
    #expect(captured.last.blockingReads == 0)
    #expect(Double(captured.peak) <= 1.1 * Double(plain.peak), "\(captured.peak) \(plain.peak)")
  }
}

extension StepCaptureTests {
  /// A layer of a user's: every third step goes another way.
  private struct Alternating: Layer {
    var inner = Dense(4)
    var repeatsItself: Bool = false
    mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
      try scope.child("inner", &inner, input: input)
    }
    func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
      let y = try pass.run(inner, as: "inner", on: x)
      return pass.step % 3 == 0 ? try y * 2 : y
    }
  }

  @Test func aLayerWithControlFlow() throws {
    let device = Device(try #require(captureDevice))
    let capture = try compare(
      Sequential {
        Flatten(); Alternating()
      }, on: device)
    #expect(capture.replays == 0)
    #expect(capture.declined?.contains("(Alternating)") == true)
    // The same on the CPU device, which has nothing to gain.
    let host = try trainer(Self.perceptron, .cpu, captures: true)
    let result = try host.fit(TestData.columns(24), epochs: 1, batchSize: 8)
    #expect(result.capture.replays == 0)
  }

  /// A promise that is seen to be broken is not believed: the launches of two steps differ.
  @Test func aLayerThatBreaksItsPromise() throws {
    struct Counting: Layer {
      let repeatsItself = true
      func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape { input }
      func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
        try x * (1 + Float(pass.step))
      }
    }
    struct Reading: Layer {
      let repeatsItself = true
      func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape { input }
      func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
        try x * (1 + x.detached().sum().item() / 1e4)
      }
    }
    let device = Device(try #require(captureDevice))
    let changing = try compare(
      Sequential {
        Flatten(); Counting(); Dense(4)
      }, on: device)
    #expect(changing.replays == 0)
    #expect(changing.declined?.contains("differs from step to step") == true)
    let reading = try compare(
      Sequential {
        Flatten(); Reading(); Dense(4)
      }, on: device)
    #expect(reading.replays == 0)
    #expect(reading.declined == "the host reads what it computes")
  }

  /// Who watches operations sees all of them: nothing is repeated meanwhile.
  @Test func observersSeeEveryStep() throws {
    final class Count: OperationObserver {
      var operations = 0
      func operationRan(
        _ name: OperationName, method: String, inputs: [Tensor], output: Tensor
      ) -> Int {
        operations += 1
        return operations
      }
      func pullbackBegan(_ number: Int, upstream: NDArray) {}
      func pullbackEnded(_ number: Int, gradients: [NDArray?]) {}
      func gradientsAdded(_ number: Int, sum: NDArray) {}
      func met(_ tensor: Tensor, as name: String) {}
      func partBegan(_ part: TracedPart) {}
      func partEnded() {}
    }
    let device = Device(try #require(captureDevice))
    let model = try Model(Self.perceptron, input: [8, 8, 1], device: device)
    let captured = CapturedStep(model)
    let images = try Tensor([Float](repeating: 0.5, count: 128), shape: [2, 8, 8, 1], on: device)
    let labels = try Tensor([0, 1] as [Int32], shape: [2], on: device)
    let signature = CapturedStep.Signature(inputs: images.shape, dtype: .float32)
    func step(_ number: UInt64) throws(TensorError) -> Float {
      let value = try captured.gradient(signature, number: number) { () throws(TensorError) in
        let loss = try model.valueAndGradient(pass: number) { (pass) throws(TensorError) in
          try Loss.softmaxCrossEntropy()(model(images, pass), labels)
        }
        return (loss, nil)
      }
      return try value.value.loss.item()
    }
    var losses: [Float] = []
    for number in 0..<5 { losses.append(try step(UInt64(number))) }
    #expect(captured.summary.replays == 2)
    let count = Count()
    losses.append(try observingOperations(count) { () throws(TensorError) in try step(5) })
    #expect(count.operations > 0)
    #expect(captured.summary.replays == 2)
    // And a trace hears of every launch.
    let backend = try #require(captureDevice)
    let trace = try backend.traced { losses.append(try step(6)) }
    #expect(!trace.launches.isEmpty && captured.summary.replays == 2)
    losses.append(try step(7))
    #expect(captured.summary.replays == 3)
    #expect(Set(losses).count == 1)
  }
}
