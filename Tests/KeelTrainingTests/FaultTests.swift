import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining
import Testing

/// What a training does about batches that go wrong.
@Suite struct FaultTests {
  /// The columns as numbers, with a NaN, or a huge value, in one example.
  private static func poisoned(
    _ value: Float = .nan, examples: Int = 64, place: Int = 37
  ) throws -> Dataset {
    let data = try TestData.columns(examples)
    var numbers: [Float] = []
    for example in 0..<examples {
      guard case .bytes(let bytes) = data.example(at: example) else { continue }
      numbers += bytes.map { Float($0) / 255 }
    }
    numbers[place * 64 + 20] = value
    return try Dataset(
      features: numbers, extents: [8, 8, 1], labels: data.labels, classCount: 4)
  }

  private func trainer(_ device: Device, _ stability: Stability) throws -> Trainer {
    try Model(TestData.network, input: [8, 8, 1], device: device, seed: 7).compile(
      optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy(), stability: stability)
  }

  @Test(arguments: TestDevices.all)
  func rewindingEqualsATrainingWithoutTheBatch(_ device: Device) throws {
    let data = try Self.poisoned()
    for interval in [1, 3, 32] {
      let going = try trainer(
        device, Stability(onFault: .rewind, rewind: RewindPlan(interval: interval)))
      let result = try going.fit(data, epochs: 3, batchSize: 8)
      #expect(result.isComplete)
      #expect(result.history.faults.count == 3)
      #expect(result.history.steps.count == 21)
      #expect(result.history.steps.allSatisfy { $0.loss.isFinite })
      #expect(result.history.faults[0].cause?.source == .inputBatch(example: 5))
      let spared = try trainer(device, Stability())
      spared.excluded = going.excluded
      #expect(spared.excluded.count == 3)
      try spared.fit(data, epochs: 3, batchSize: 8)
      #expect(try TestData.bits(going.model) == TestData.bits(spared.model))
      #expect(spared.history.steps.count == 21)
    }
  }

  /// What Deadly Flip remembers goes back as well: a layer rests after an exchange, unless the
  /// exchange was undone.
  @Test func rewindingUndoesWhatDeadlyFlipRemembers() throws {
    func trainer(_ policy: FaultPolicy) throws -> Trainer {
      let flip = try DeadlyFlip(.incoming, volatile: 1e-2, calm: 9e-3, period: 1, cooldown: 2)
      return try Model(
        Models.mlp(hidden: [8], classes: 4), input: [8, 8, 1], device: .cpu, seed: 7
      )
      .compile(
        optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy(),
        stability: Stability(onFault: policy, rewind: RewindPlan(interval: 7), flip: flip))
    }
    let data = try Self.poisoned()
    let going = try trainer(.rewind)
    try going.fit(data, epochs: 3, batchSize: 8)
    #expect(going.history.faults.count == 3)
    let spared = try trainer(.skipStep)
    spared.excluded = going.excluded
    try spared.fit(data, epochs: 3, batchSize: 8)
    let counters = try #require(spared.updater.techniques.flip?.counters)
    #expect(counters.flips > 2 && counters.resting > 2, "\(counters)")
    #expect(going.updater.techniques.flip?.counters == counters)
    #expect(try TestData.bits(going.model) == TestData.bits(spared.model))
  }

  @Test(arguments: TestDevices.all) func spikesAreRewound(_ device: Device) throws {
    let data = try Self.poisoned(3e3, examples: 320, place: 291)
    func trainer(_ stability: Stability) throws -> Trainer {
      try Model(Models.mlp(hidden: [8], classes: 4), input: [8, 8, 1], device: device, seed: 7)
        .compile(
          optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy(), stability: stability)
    }
    let plan = RewindPlan(interval: 8, spikeThreshold: 8)
    let going = try trainer(Stability(onFault: .rewind, rewind: plan))
    // In the second epoch at the latest, the usual norm is known.
    try going.fit(data, epochs: 2, batchSize: 8)
    let rewinds = going.history.faults
    #expect((1...2).contains(rewinds.count))
    #expect(rewinds.first.map { "\($0)" }?.contains("deviations above the usual") == true)
    let spared = try trainer(Stability())
    spared.excluded = going.excluded
    try spared.fit(data, epochs: 2, batchSize: 8)
    #expect(try TestData.bits(going.model) == TestData.bits(spared.model))
  }

  @Test func rewindsAreBoundedAndEndWithASentence() throws {
    let data = try Self.poisoned()
    let plan = RewindPlan(interval: 4, maximum: 2, response: .shrinkLearningRate(0.5))
    let trainer = try trainer(.cpu, Stability(onFault: .rewind, rewind: plan))
    let text = sentence { try trainer.fit(data, epochs: 3, batchSize: 8) }
    #expect(text.contains("after 2 times that training went back"))
    // The batch was met again, each time with half the learning rate.
    let places = trainer.history.faults.map(\.place)
    #expect(places.count == 3 && Set(places).count == 1)
    #expect(trainer.updater.learningRate == 3e-3 / 4)
    #expect(try TestData.bits(trainer.model).joined().allSatisfy { Float(bitPattern: $0).isFinite })
  }

  @Test(arguments: TestDevices.all)
  func raisingLeavesTheTrainingBeforeTheBadStep(_ device: Device) throws {
    let data = try Self.poisoned()
    let trainer = try trainer(device, Stability(onFault: .raise))
    let text = sentence { try trainer.fit(data, epochs: 3, batchSize: 8) }
    #expect(text.contains("training stopped at step"))
    #expect(text.contains("is not finite"))
    let steps = trainer.updater.step
    let spared = try self.trainer(device, Stability())
    let end = trainer.position.step
    spared.excluded = Set((end..<8).map { BatchPosition(epoch: 0, step: $0) })
    try spared.fit(data, epochs: 1, batchSize: 8)
    #expect(
      try trainer.model.weights(named: "conv1.weight")
        == spared.model.weights(named: "conv1.weight"))
    #expect(spared.updater.step == steps)
  }

  @Test(arguments: TestDevices.all) func skippedStepsAreCountedAndListed(_ device: Device) throws {
    let data = try Self.poisoned()
    let trainer = try trainer(device, Stability())
    let result = try trainer.fit(data, epochs: 2, batchSize: 8)
    #expect(result.history.epochs.map(\.skippedSteps) == [1, 1])
    #expect(result.history.epochs.allSatisfy { $0.loss.isFinite && $0.gradientNorm.isFinite })
    #expect(result.history.steps.count { !$0.outcome.changesParameters } == 2)
    #expect(try trainer.updater.updates() == 14)
  }

  @Test(arguments: TestDevices.all)
  func perExampleClippingIsTheMeanOfClippedGradients(_ device: Device) throws {
    let data = try TestData.columns(6)
    let network = Models.mlp(hidden: [8], classes: 4)
    func model() throws -> Model {
      try Model(network, input: [8, 8, 1], device: device, seed: 5)
    }
    let limit: Float = 0.5
    let clipped = try model()
    let before = try clipped.parameters.map { try clipped.weights(named: $0.name) }
    let trainer = try clipped.compile(
      optimizer: .sgd(learningRate: 1), loss: .softmaxCrossEntropy(),
      stability: Stability(clip: [.perExample(limit)]))
    try trainer.fit(data, epochs: 1, batchSize: 6)
    // Each example alone.
    var mean = before.map { $0.map { _ in 0.0 } }
    var engaged = 0
    for number in 0..<6 {
      let single = try model()
      try single.compile(optimizer: .sgd(learningRate: 1), loss: .softmaxCrossEntropy())
        .fit(data.selecting([Int32(number)]), epochs: 1, batchSize: 1)
      var gradient: [[Double]] = []
      for (place, parameter) in single.parameters.enumerated() {
        let after = try single.weights(named: parameter.name)
        gradient.append(zip(before[place], after).map { Double($0) - Double($1) })
      }
      let norm = gradient.joined().reduce(0) { $0 + $1 * $1 }.squareRoot()
      let factor = min(1, Double(limit) / norm)
      if factor < 1 { engaged += 1 }
      for place in mean.indices {
        for i in mean[place].indices { mean[place][i] += factor * gradient[place][i] / 6 }
      }
    }
    #expect(engaged > 0)
    for (place, parameter) in clipped.parameters.enumerated() {
      let after = try clipped.weights(named: parameter.name)
      for i in after.indices {
        #expect(abs(Double(before[place][i]) - Double(after[i]) - mean[place][i]) < 1e-6)
      }
    }
  }

  @Test func aPlateauLowersTheRateAfterItsPatience() throws {
    let data = try TestData.columns(32)
    let trainer = try Model(TestData.network, input: [8, 8, 1], device: .cpu, seed: 7).compile(
      optimizer: .sgd(learningRate: 1e-30), loss: .softmaxCrossEntropy(),
      plateau: try PlateauReducer(.validationLoss, patience: 2, factor: 0.5))
    #expect(sentence { try trainer.fit(data, epochs: 1) }.contains("requires validation data"))
    let held = try TestData.columns(32, seed: 8)
    try trainer.fit(data, epochs: 4, batchSize: 16, validation: .data(held))
    // Best after the first epoch; running statistics move a little, the weights do not.
    #expect(trainer.plateau?.reductions ?? 0 >= 1)
    #expect(trainer.updater.learningRate < 1e-30)
  }
}
