import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// The equity transform again and again during training.
@Suite struct PeriodicEquityTests {
  /// A deep network of relu layers, its weights out of scale by 1000 and 1/1000 in turn if asked.
  private func model(_ device: Device, depth: Int = 5, isScaled: Bool = false) throws -> Model {
    let layers: [any Layer] = (0..<depth).map { _ in
      Dense(16, activation: .relu, initializer: .heNormal)
    }
    let model = try Model(
      Sequential(layers + [Dense(3, initializer: .heNormal)]), input: [8], device: device, seed: 4)
    guard isScaled else { return model }
    for (place, parameter) in model.parameters.filter({ $0.shape.rank == 2 }).enumerated() {
      let scale: Float = place % 2 == 0 ? 1e3 : 1e-3
      try model.setWeights(
        try model.weights(named: parameter.name).map { $0 * scale }, named: parameter.name)
    }
    return model
  }

  /// Batch `number` of examples whose class is where their largest value is.
  private func batch(
    _ number: Int, rows: Int = 8, on device: Device
  ) throws -> (x: Tensor, y: Tensor) {
    var random = RandomSequence(RandomKey(seed: 11, .user, step: UInt64(number)))
    let values: [Float] = (0..<(rows * 8)).map { _ in random.nextUniform() * 2 - 1 }
    let labels: [Int32] = (0..<rows).map { row in
      let first = Array(values[(row * 8)..<(row * 8 + 3)])
      return first[0] > max(first[1], first[2]) ? 0 : first[1] > first[2] ? 1 : 2
    }
    return (
      try Tensor(values, shape: [rows, 8], on: device),
      try Tensor(labels, shape: [rows], on: device)
    )
  }

  @discardableResult
  private func backward(_ model: Model, _ number: Int) throws -> Tensor {
    let (x, y) = try batch(number, on: model.device)
    return try model.valueAndGradient(pass: UInt64(number)) { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), y)
    }
  }

  private func weights(_ model: Model) throws -> [[Float]] {
    try model.parameters.map { try model.weights(named: $0.name) }
  }

  /// After any number of transforms, at any steps, the function is what it was before each of them,
  /// to the bit; parameters stay finite, and the multipliers do not run away.
  @Test(
    arguments: TestDevices.all,
    [
      Optimizer.sgd(learningRate: 0.02), .sgd(learningRate: 0.01, momentum: 0.9),
      .adam(learningRate: 2e-3),
    ])
  func theFunctionStaysAtEveryTransform(_ device: Device, _ optimizer: Optimizer) throws {
    let model = try model(device)
    let updater = try Updater(optimizer, for: model)
    let (x, _) = try batch(1000, rows: 32, on: device)
    var random = RandomSequence(RandomKey(seed: 5, .user))
    let stage = try EquityStage(EquityTransform(), ifImbalanceAbove: 1, every: 1)
    try stage.prepare(for: model)
    var sums: [String: [Int]] = [:]
    for step in 0..<150 {
      try backward(model, step)
      try updater.update()
      try stage.remember(model)
      // At any steps: after one in three on the average.
      guard random.next(below: 3) == 0 else { continue }
      let before = try model(x).scalars()
      let applications = stage.applications
      try stage.look(model, moments: updater.moments)
      #expect(try model(x).scalars() == before, "\(optimizer.name), step \(step)")
      guard stage.applications > applications, let plan = stage.lastPlan else { continue }
      #expect(plan.inexactNumbers == 0)
      for layer in plan.layers {
        let sum = sums[layer.name] ?? layer.exponents.map { _ in 0 }
        sums[layer.name] = zip(sum, layer.exponents).map { $0 + $1 }
      }
    }
    #expect(stage.applications > 10, "\(stage.applications)")
    #expect(try weights(model).joined().allSatisfy(\.isFinite))
    // 2^12 at most, whatever the number of transforms: there is a balance that they come back to.
    #expect(sums.values.joined().allSatisfy { abs($0) <= 12 }, "\(sums)")
    #expect(!sums.isEmpty)
  }

  /// Why there is a memory: one batch says of a unit that it hardly reaches that it should be many
  /// times larger; many batches do not.
  @Test(arguments: TestDevices.all) func manyBatchesAreCalmerThanOne(_ device: Device) throws {
    func largest(memory: Double) throws -> Int {
      let model = try model(device)
      let updater = try Updater(.sgd(learningRate: 0.01), for: model)
      let stage = try EquityStage(
        EquityTransform(), ifImbalanceAbove: 1, every: 20, memory: memory)
      // The first transforms bring balance; what comes after is noise.
      for step in UInt64(1)...200 {
        try backward(model, Int(step))
        try updater.update()
        try stage.stepEnded(model: model, moments: updater.moments, step: step)
        if step == 100 { stage.counters = EquityStage.Counters() }
      }
      #expect(try weights(model).joined().allSatisfy(\.isFinite))
      return stage.counters.largestExponent
    }
    let (one, many) = (try largest(memory: 0), try largest(memory: 0.99))
    #expect(many <= 1 && one >= many + 2, "one batch \(one), many \(many)")
  }

  /// s = sqrt(memory s^2 + (1 - memory) g^2), at any size, without what is not finite, and carried
  /// along as gradients are.
  @Test(arguments: TestDevices.all) func gradientSizesAreARootMeanSquare(_ device: Device) throws {
    let model = try model(device, isScaled: true)
    let stage = try EquityStage(EquityTransform(), ifImbalanceAbove: 1, every: 100, memory: 0.75)
    try stage.prepare(for: model)
    let sizes = try #require(stage.gradientSizes)
    let gradients = model.arena.gradients
    var expected = [Double](repeating: 0, count: gradients.count)
    for (step, scale) in [Float(1e-30), 1, 1e25, 3].enumerated() {
      var values = (0..<gradients.count).map { Float($0 % 7 - 3) * scale }
      if step == 1 { values[5] = .nan }
      if step == 2 { values[6] = -.infinity }
      try device.backend.upload(values, to: gradients)
      try stage.remember(model)
      for (i, value) in values.enumerated() where value.isFinite {
        let (s, g) = (expected[i], Double(value))
        expected[i] = (0.75 * s * s + 0.25 * g * g).squareRoot()
      }
      let found = try device.backend.scalars(sizes) as [Float]
      for (s, e) in zip(found, expected) { #expect(abs(Double(s) - e) <= 1e-6 * e) }
    }
    try device.backend.fill(sizes, with: 0)
    for number in 0..<4 {
      try backward(model, number)
      try stage.remember(model)
    }
    let before: [Float] = try device.backend.scalars(sizes)
    try stage.look(model, moments: [])
    let plan = try #require(stage.lastPlan)
    let k = plan.layers[0].exponents
    #expect(plan.isApplied && k.contains { $0 != 0 })
    let after: [Float] = try device.backend.scalars(sizes)
    let place = try #require(model.parameters[0].place)
    for i in 0..<model.parameters[0].shape.count {
      let factor = Float(sign: .plus, exponent: -k[i % 16], significand: 1)
      #expect(after[place.offset + i] == before[place.offset + i] * factor)
    }
    // What was balanced is balanced: nothing more to do.
    let applications = stage.applications
    try stage.look(model, moments: [])
    #expect(stage.applications == applications)
  }

  /// A step that is left out moves nothing, though its gradients are finite.
  @Test(arguments: TestDevices.all) func skippedStepsAreNotTransformed(_ device: Device) throws {
    for memory in [0, 0.9] {
      let model = try model(device, isScaled: true)
      let updater = try Updater(
        .sgd(learningRate: 1e-9), for: model,
        stability: Stability(
          equity: PeriodicEquity(
            try EquityTransform(), ifImbalanceAbove: 1, every: 1, memory: memory)))
      let before = try weights(model)
      try backward(model, 0)
      try updater.update(loss: Tensor(.nan, on: device))
      #expect(try weights(model) == before)
      #expect(updater.techniques.equity?.applications == 0)
      let loss = try backward(model, 0)
      try updater.update(loss: loss)
      #expect(try weights(model) != before)
      #expect(updater.techniques.equity?.applications == 1)
    }
  }

  /// A unit that a transform changes is not a volatile one.
  @Test(arguments: TestDevices.all) func flipLooksBeforeEquity(_ device: Device) throws {
    let model = try model(device, isScaled: true)
    let updater = try Updater(
      .sgd(learningRate: 1e-12), for: model,
      stability: Stability(
        flip: try DeadlyFlip(.incoming, volatile: 0.5, calm: 0.49, period: 2),
        equity: PeriodicEquity(try EquityTransform(), ifImbalanceAbove: 1, every: 2)))
    for step in 0..<4 { try updater.update(loss: backward(model, step)) }
    #expect(updater.techniques.equity?.applications ?? 0 >= 1)
    #expect(updater.techniques.flip?.counters.looks ?? 0 > 0)
    #expect(updater.techniques.flip?.counters.flips == 0)
  }

  /// What adaptive clip stages know of norms is of the norms that come after a transform.
  @Test(arguments: TestDevices.all) func clipStagesKeepTheirMeasure(_ device: Device) throws {
    for stage in [
      ClipStage.adaGC(relative: 1.05, beta: 0.9, warmUp: 1, limit: 1e9),
      .zClip(alpha: 0.9, threshold: 2, warmUp: 2), .autoClip(percentile: 50, window: 4),
    ] {
      let model = try model(device, isScaled: true)
      let updater = try Updater(
        .sgd(learningRate: 1e-12), for: model, stability: Stability(clip: [stage]))
      for step in 0..<4 { try updater.update(loss: backward(model, step % 2)) }
      let state = try #require(updater.pipeline.clipStates[0])
      let before: [Float] = try device.backend.scalars(state)
      try updater.pipeline.keepingClipMeasure { () throws(TensorError) in
        let plan = try EquityTransform().apply(to: model)
        guard plan.isApplied else {
          throw .shape(ShapeError("test", requires: "a transform", gotText: "none"))
        }
      }
      let after: [Float] = try device.backend.scalars(state)
      #expect(after != before && after[0] == before[0])
      // The next batch is one that it knows: it is not clipped to what norms were before.
      try updater.update(loss: backward(model, 0))
      let factor = try updater.report().factor
      #expect(factor > 0.3, "\(stage): \(factor)")
      let norms = try updater.telescope().map(\.norm)
      if case .adaGC = stage {
        for (tensor, norm) in norms.enumerated() where norm > 0 {
          #expect(after[1 + tensor] > norm / 3 && after[1 + tensor] < norm * 3)
        }
      }
    }
  }

  /// What cannot be is refused before the first step, with the reason.
  @Test func contradictionsAreRefused() throws {
    let model = try Model(
      Sequential {
        Dense(8, activation: .tanh)
        Dense(6, activation: .relu)
        Dense(3)
      }, input: [4], device: .cpu, seed: 3)
    func refusal(_ stability: Stability, _ optimizer: Optimizer = .adam()) -> String {
      sentence { _ = try Updater(optimizer, for: model, stability: stability) }
    }
    let folded = PeriodicEquity(try EquityTransform(layers: ["dense1"]))
    let text = refusal(Stability(equity: folded))
    #expect(text.contains("dense1 (Dense): requires units that a multiplier can be folded into"))
    #expect(text.contains("dense1 (Dense) applies tanh, which is not positively homogeneous"))
    let direct = sentence {
      try EquityTransform.fold([Int](repeating: 1, count: 8), into: "dense1", of: model)
    }
    #expect(direct.contains("applies tanh, which is not positively homogeneous"), "\(direct)")
    #expect(refusal(Stability(equity: PeriodicEquity(try EquityTransform()))) == "")
    for constraint in [Constraint.unitNorm, .maximumNorm(1), .spectralNorm(1)] {
      let text = refusal(
        Stability(constraints: [constraint], equity: PeriodicEquity(try EquityTransform())))
      #expect(text.contains("either the equity transform or a constraint"), "\(text)")
    }
    for memory in [-0.1, 1, .nan] {
      let text = refusal(
        Stability(equity: PeriodicEquity(try EquityTransform(), memory: memory)))
      #expect(text.contains("a memory in 0 ..< 1"), "\(text)")
    }
    let none = sentence {
      try EquityTransform().prepare(model, batches: 0) { (_, pass) throws(TensorError) in
        try model(Tensor([1, 2, 3, 4], shape: [1, 4], on: .cpu), pass).sum()
      }
    }
    #expect(none.contains("at least one batch"))
  }

  /// Options as runs of before wrote them.
  @Test func olderOptionsAreRead() throws {
    let plan = PeriodicEquity(try EquityTransform(), ifImbalanceAbove: 4, every: 7, memory: 0.5)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data = try encoder.encode(plan)
    #expect(try JSONDecoder().decode(PeriodicEquity.self, from: data) == plan)
    let text = String(decoding: data, as: UTF8.self).replacing("\"memory\":0.5,", with: "")
    #expect(!text.contains("memory"))
    let older = try JSONDecoder().decode(PeriodicEquity.self, from: Data(text.utf8))
    #expect(older.memory == 0 && older.period == 7)
  }
}
