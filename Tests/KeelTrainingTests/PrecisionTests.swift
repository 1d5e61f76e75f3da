import Glibc
import Keel
import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining
import Testing

/// Trainings whose activations and working weights have 16 bits.
@Suite(.serialized) struct PrecisionTests {
  static let halves: [Precision] = [.bfloat16, .float16]

  /// A network of each kind, on images of 8x8x1 in four classes.
  static let kinds = ["convolution", "batch norm", "lstm", "residual"]

  private static func network(_ kind: String) -> any Layer {
    switch kind {
    case "batch norm": TestData.network
    case "lstm": Models.lstmClassifier(units: 12, classes: 4)
    case "residual":
      Sequential {
        Conv2D(8, kernel: 3, padding: .same, activation: .relu)
        Residual(activation: .relu) {
          Conv2D(8, kernel: 3, padding: .same, activation: .relu)
          Conv2D(8, kernel: 3, padding: .same)
        }
        GroupNorm(2)
        GlobalAvgPool2D()
        Dense(4)
      }
    default:
      Sequential {
        Conv2D(8, kernel: 3, padding: .same, activation: .relu)
        MaxPool2D(2)
        Flatten()
        Dense(16, activation: .tanh)
        Dense(4)
      }
    }
  }

  private static func trainer(
    _ kind: String, _ device: Device, _ precision: Precision,
    _ optimizer: Optimizer = .adam(learningRate: 3e-3), stability: Stability? = nil
  ) throws -> Trainer {
    let own = Stability(lossScale: precision == .float16 ? 256 : 1)
    return try Model(
      network(kind), input: [8, 8, 1], device: device, seed: 7, precision: precision
    )
    .compile(optimizer: optimizer, loss: .softmaxCrossEntropy(), stability: stability ?? own)
  }

  /// How many bits of precision a type has, as the error of one rounding.
  private static func unit(_ precision: Precision) -> Double {
    precision == .float16 ? 0x1p-11 : 0x1p-8
  }

  /// Every kind of network learns, and its losses stay near those of float32: in each epoch within
  /// a tenth of the loss and a hundredth, as the digits network's do from device to device. Twice
  /// the same training gives the same bits.
  @Test(arguments: TestDevices.all, kinds)
  func everyKindTrains(_ device: Device, kind: String) throws {
    let data = try TestData.columns(64)
    let exact = try Self.trainer(kind, device, .float32)
    let losses = try exact.fit(data, epochs: 5, batchSize: 16).history.epochs.map(\.loss)
    for precision in Self.halves {
      var bits: [[[UInt32]]] = []
      for _ in 0..<2 {
        let trainer = try Self.trainer(kind, device, precision)
        let history = try trainer.fit(data, epochs: 5, batchSize: 16).history
        for (near, loss) in zip(history.epochs.map(\.loss), losses) {
          #expect(abs(near - loss) <= 0.1 * loss + 0.01, "\(precision)")
        }
        #expect(history.epochs[4].loss < 0.9 * history.epochs[0].loss)
        bits.append(try TestData.bits(trainer.model))
      }
      #expect(bits[0] == bits[1])
      #expect(try bits[0] != TestData.bits(exact.model))
    }
  }

  /// One step of plain descent w - r g: the gradient is wrong by some roundings of relative size u
  /// on its way through the layers, there and back. With L layers that have parameters that is a
  /// bound of 4 L u r |g| for the whole step, and the first loss is wrong by at most 2 L u of
  /// itself.
  @Test(arguments: TestDevices.all, kinds)
  func aStepIsAsExactAsTheRoundings(_ device: Device, kind: String) throws {
    let data = try TestData.columns(16)
    func step(_ precision: Precision) throws -> (step: [Double], loss: Double, layers: Int) {
      let trainer = try Self.trainer(kind, device, precision, .sgd(learningRate: 0.5))
      let model = trainer.model
      let before = try model.parameters.flatMap { try model.weights(named: $0.name) }
      let loss = try trainer.fit(data, epochs: 1, batchSize: 16).history.epochs[0].loss
      let after = try model.parameters.flatMap { try model.weights(named: $0.name) }
      return (
        zip(after, before).map { Double($0) - Double($1) }, loss,
        model.layers.count { !$0.parameters.isEmpty }
      )
    }
    func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let exact = try step(.float32)
    for precision in Self.halves {
      let near = try step(precision)
      let unit = Self.unit(precision)
      let error = norm(zip(near.step, exact.step).map { $0 - $1 }) / norm(exact.step)
      #expect(error > 0)
      #expect(error <= 4 * Double(exact.layers) * unit, "\(kind) \(precision): \(error / unit)")
      let lossError = abs(near.loss - exact.loss) / exact.loss
      #expect(lossError <= 2 * Double(exact.layers) * unit)
    }
  }

  /// Nothing changes for whoever does not ask: no conversion runs, and weights stay in one place.
  @Test(arguments: TestDevices.all) func float32ConvertsNothing(_ device: Device) throws {
    let profiler = ProfilingBackend(device.backend)
    let trainer = try Self.trainer("convolution", Device(profiler), .float32)
    try trainer.fit(TestData.columns(16), epochs: 1, batchSize: 8)
    #expect(!profiler.table.contains { $0.operation == "convert" })
    #expect(trainer.model.arena.halves == nil)
    let plain = try Model(Self.network("convolution"), input: [8, 8, 1], device: device, seed: 7)
      .compile(optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy())
    try plain.fit(TestData.columns(16), epochs: 1, batchSize: 8)
    #expect(try TestData.bits(plain.model) == TestData.bits(trainer.model))
  }

  /// The optimizer's weights are float32: a change too small for the 16-bit copy is not lost.
  @Test(arguments: TestDevices.all) func smallStepsAddUp(_ device: Device) throws {
    let trainer = try Self.trainer("convolution", device, .bfloat16, .sgd(learningRate: 1e-5))
    let name = "dense1.weight"
    let before = try trainer.model.weights(named: name)
    try trainer.fit(TestData.columns(16), epochs: 1, batchSize: 16)
    let after = try trainer.model.weights(named: name)
    let changed = zip(before, after).count { $0 != $1 }
    #expect(changed > before.count / 2)
    let place = try #require(trainer.model.parameters.first { $0.name == name }?.place)
    #expect(place.working.detached.dtype == .bfloat16)
    // What the network computed with last is the copy from before that step.
    let working = try place.working.detached.scalars()
    #expect(
      zip(working, before).allSatisfy { abs($0 - $1) <= Float(0x1p-8) * abs($1) })
  }

  /// Where activations take the most, half of them is saved: of sixteen layers' outputs.
  @Test(arguments: TestDevices.opened()) func activationsTakeHalf(_ device: Device) throws {
    var peaks: [Precision: Int] = [:]
    var plans: [Precision: MemoryPlan] = [:]
    for precision in Precision.allCases {
      let model = try Model(
        Models.mlp(hidden: [Int](repeating: 128, count: 16), classes: 4), input: [8, 8, 1],
        device: device, seed: 1, precision: precision)
      let trainer = try model.compile(
        optimizer: .sgd(learningRate: 0.1), loss: .softmaxCrossEntropy())
      let data = try TestData.columns(2048)
      plans[precision] = try trainer.memoryPlan(data, batchSize: 2048)
      try device.synchronize()
      let before = device.counters.liveBytes
      device.resetPeakBytes()
      try trainer.fit(data, epochs: 1, batchSize: 2048)
      peaks[precision] = device.counters.peakBytes - before
    }
    let (wide, brain) = (try #require(plans[.float32]), try #require(plans[.bfloat16]))
    #expect(Double(brain.activations) < 0.65 * Double(wide.activations))
    // The copy, and slices that start at twice as many elements.
    #expect(brain.parameters >= wide.parameters * 3 / 2)
    #expect(Double(brain.parameters) < 1.6 * Double(wide.parameters))
    let widePeak = try #require(peaks[.float32])
    for precision in Self.halves {
      #expect(Double(try #require(peaks[precision])) < 0.7 * Double(widePeak))
    }
  }

  @Test(arguments: TestDevices.all, halves)
  func aResumedRunEqualsAnUninterruptedOne(_ device: Device, precision: Precision) throws {
    let data = try TestData.columns(50)
    let whole = try Self.trainer("batch norm", device, precision)
    try whole.fit(data, epochs: 2, batchSize: 8)
    try withFolder { folder in
      let watcher = Watcher()
      watcher.stopsAfter = 5
      let first = try Self.trainer("batch norm", device, precision)
      try first.fit(
        data, epochs: 2, batchSize: 8, output: RunFolder(new: folder + "/run"),
        callbacks: [watcher])
      let run = try RunFolder(existing: folder + "/run")
      #expect(try run.description().precision == precision)
      let second = try Self.trainer("batch norm", device, precision)
      try second.restore(from: run)
      try second.fit(data, epochs: 2, batchSize: 8, output: run)
      #expect(try TestData.bits(second.model) == TestData.bits(whole.model))

      let other = try Self.trainer("batch norm", device, .float32)
      let before = try TestData.bits(other.model)
      #expect(
        sentence { try other.restore(from: run) }.contains(
          "was trained with precision \(precision.rawValue), this model computes with float32: "
            + "make the model with precision .\(precision.rawValue)"))
      #expect(try TestData.bits(other.model) == before)
      // Weights alone are float32 and fit every precision.
      try other.model.load(from: run.checkpointPath)
      #expect(try TestData.bits(other.model) == TestData.bits(second.model))
    }
  }

  @Test func aRunIsRebuiltInItsPrecision() throws {
    try withFolder { folder in
      let recipe = ModelRecipe.mlp(hidden: [12], classes: 4, dropout: 0)
      let first = try Model(
        recipe, input: [8, 8, 1], device: .cpu, seed: 7, precision: .bfloat16
      ).compile(optimizer: .adam(), loss: .softmaxCrossEntropy())
      let data = try TestData.columns(40)
      try first.fit(data, epochs: 1, batchSize: 8, output: RunFolder(new: folder + "/run"))
      let run = try RunFolder(existing: folder + "/run")
      let second = try run.trainer(on: .cpu)
      #expect(second.model.precision == .bfloat16)
      #expect(try second.evaluate(data) == first.evaluate(data))
      // A file from before there was a choice is of float32.
      let bytes = try DataFile.read(run.descriptionPath)
      let text = String(decoding: bytes, as: UTF8.self)
      #expect(text.contains("\"precision\" : \"bfloat16\""))
      let older = text.replacing("\"precision\" : \"bfloat16\",", with: "")
      try DataFile.write(Array(older.utf8), to: run.descriptionPath)
      #expect(try run.description().precision == nil)
      #expect(sentence { _ = try run.trainer(on: .cpu) }.contains("precision bfloat16"))
    }
  }

  /// Images as numbers, of which one pixel is something else.
  private func images(_ value: Float) throws -> Dataset {
    let data = try TestData.columns(32)
    var numbers: [Float] = []
    for example in 0..<32 {
      guard case .bytes(let bytes) = data.example(at: example) else { continue }
      numbers += bytes.map { Float($0) / 255 }
    }
    numbers[5 * 64 + 20] = value
    return try Dataset(
      features: numbers, extents: [8, 8, 1], labels: data.labels, classCount: 4)
  }

  /// What is not finite stays so through conversions, and the fault policy catches it; and so does
  /// what is too large for float16 alone.
  @Test(arguments: TestDevices.all, Precision.allCases)
  func faultsAreCaught(_ device: Device, precision: Precision) throws {
    for (value, isFault) in [
      (Float.nan, true), (.infinity, true), (1e6, precision == .float16),
    ] {
      let trainer = try Self.trainer("residual", device, precision)
      let history = try trainer.fit(images(value), epochs: 1, batchSize: 8).history
      #expect(history.faults.count == (isFault ? 1 : 0), "\(value) in \(precision)")
      for parameter in trainer.model.parameters {
        let weights = try trainer.model.weights(named: parameter.name)
        #expect(weights.allSatisfy { $0.isFinite })
      }
    }
    let strict = try Self.trainer(
      "residual", device, precision, stability: Stability(onFault: .raise))
    let text = sentence { try strict.fit(images(.nan), epochs: 1, batchSize: 8) }
    #expect(text.contains("not finite"))
  }

  /// Gradients of 1e-6 and below become 0 in float16 without a loss scale.
  @Test func float16WantsALossScale() throws {
    func norm(_ precision: Precision, scale: Float) throws -> Float {
      let model = try Model(
        Models.mlp(hidden: [16], classes: 4), input: [8, 8, 1], device: .cpu, seed: 7,
        precision: precision)
      let x = try Tensor.full([8, 8, 8, 1], 0.5, on: .cpu)
      let loss = try model.valueAndGradient(step: 0, weight: scale, accumulates: false) {
        (pass) throws(TensorError) in try model(x, pass).sum() * 1e-9
      }
      #expect(loss.dtype == .float32)
      let gradient = try #require(model.parameters[0].gradient)
      return try gradient.globalNorm().item() / scale
    }
    let exact = try norm(.float32, scale: 1)
    #expect(try norm(.float16, scale: 1) == 0)
    #expect(try abs(norm(.float16, scale: 65536) / exact - 1) < 0.01)
    #expect(try abs(norm(.bfloat16, scale: 1) / exact - 1) < 0.05)
  }
}
