import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining
import Testing

@Suite struct FitTests {
  @Test(arguments: TestDevices.all) func aSmallNetworkOverfits32Samples(_ device: Device) throws {
    let data = try TestData.columns(32)
    let trainer = try Model(
      Sequential {
        Conv2D(4, kernel: 3, activation: .relu)
        MaxPool2D(2)
        Flatten()
        Dense(4)
      }, input: [8, 8, 1], device: device, seed: 1
    ).compile(optimizer: .adam(learningRate: 0.01), loss: .softmaxCrossEntropy())
    let result = try trainer.fit(data, epochs: 40, batchSize: 16)
    #expect(result.isComplete)
    #expect(result.history.epochs.count == 40)
    #expect(result.history.steps.count == 80)
    let evaluation = try trainer.evaluate(data)
    #expect(evaluation.accuracy == 1)
    #expect(evaluation.loss < 0.1)
    #expect(evaluation.confusion.enumerated().allSatisfy { $1[$0] == 8 && $1.reduce(0, +) == 8 })
    let predictions = try trainer.predict(data)
    #expect(predictions.map { Int32($0.label) } == data.labels)
    #expect(predictions.allSatisfy { abs($0.probabilities.reduce(0, +) - 1) < 1e-5 })
    #expect(try trainer.predict(data.example(at: 5)) == [predictions[5]])
  }

  /// The plan of a step is what a step then takes, and planning leaves the model alone.
  @Test(arguments: TestDevices.opened())
  func theMemoryOfAStepIsKnownBeforeIt(_ device: Device) throws {
    let data = try TestData.columns(64)
    let trainer = try Model(
      Sequential {
        Conv2D(8, kernel: 3)
        BatchNorm(activation: .relu)
        Flatten()
        Dense(4)
      }, input: [8, 8, 1], device: device, seed: 1
    ).compile(optimizer: .adam(), loss: .softmaxCrossEntropy())
    let before = try TestData.bits(trainer.model)
    let plan = try trainer.memoryPlan(data, batchSize: 32)
    #expect(try TestData.bits(trainer.model) == before)
    let count = trainer.model.arena.count
    #expect(plan.parameters == 4 * count && plan.gradients == plan.parameters)
    #expect(plan.optimizer >= 2 * plan.parameters && plan.batch == 4 * (32 * 64 + 32))
    // The output of the convolution and of the normalisation at least.
    #expect(plan.activations >= 2 * 4 * 32 * 36 * 8)
    device.resetPeakBytes()
    try trainer.fit(data, epochs: 1, batchSize: 32)
    let taken = device.counters.peakBytes
    #expect(Double(plan.peak) > 0.8 * Double(taken) && plan.peak < 2 * taken, "\(plan) \(taken)")
    #expect(throws: TrainingError.self) { try trainer.memoryPlan(data, batchSize: 0) }
  }

  /// Steps that hardly move the weights have the loss and the accuracy of an evaluation, however
  /// batches are joined to steps, and counting does not touch the weights.
  @Test(arguments: TestDevices.all) func stepsCountAsAnEvaluationDoes(_ device: Device) throws {
    let data = try TestData.columns(40)
    func trainer(_ optimizer: Optimizer, _ metrics: [Metric]) throws -> Trainer {
      try Model(
        Models.mlp(hidden: [8], classes: 4, activation: .tanh), input: [8, 8, 1], device: device,
        seed: 4
      ).compile(optimizer: optimizer, loss: .softmaxCrossEntropy(), metrics: metrics)
    }
    for (batch, accumulation) in [(40, 1), (10, 4), (16, 3), (13, 4)] {
      let counting = try trainer(.sgd(learningRate: 1e-20), [.accuracy])
      try counting.fit(data, epochs: 1, batchSize: batch, gradientAccumulation: accumulation)
      let expected = try counting.evaluate(data)
      let step = try #require(counting.history.steps.first)
      #expect(counting.history.steps.count == 1)
      #expect(step.accuracy == expected.accuracy.map { Float($0) })
      #expect(abs(Double(step.loss) - expected.loss) < 1e-5 * expected.loss)
    }
    let weights = try [[Metric.accuracy], []].map { metrics in
      let trainer = try trainer(.adam(), metrics)
      try trainer.fit(data, epochs: 2, batchSize: 8)
      #expect((trainer.history.steps.last?.accuracy == nil) == metrics.isEmpty)
      return (try TestData.bits(trainer.model), trainer.history.steps.map(\.loss))
    }
    #expect(weights[0] == weights[1])
  }

  @Test(arguments: TestDevices.all) func theSameSeedGivesTheSameBits(_ device: Device) throws {
    let data = try TestData.columns(50)
    let runs = try (0..<2).map { _ in
      let trainer = try TestData.trainer(device)
      try trainer.fit(data, epochs: 3, batchSize: 8)
      return (try TestData.bits(trainer.model), trainer.history.steps)
    }
    #expect(runs[0].0 == runs[1].0)
    #expect(runs[0].1 == runs[1].1)
    let other = try TestData.trainer(device)
    try other.fit(data, epochs: 3, batchSize: 8, seed: 99)
    #expect(try TestData.bits(other.model) != runs[0].0)
  }

  @Test(arguments: TestDevices.all) func microBatchesMatchTheBigBatch(_ device: Device) throws {
    func weights(_ batch: Int, _ accumulation: Int) throws -> ([Float], History) {
      let model = try Model(
        Models.mlp(hidden: [8], classes: 4, activation: .tanh), input: [8, 8, 1], device: device,
        seed: 4)
      let trainer = try model.compile(
        optimizer: .sgd(learningRate: 0.1, momentum: 0.9), loss: .softmaxCrossEntropy())
      let result = try trainer.fit(
        TestData.columns(44), epochs: 3, batchSize: batch, gradientAccumulation: accumulation)
      return (try model.weights(named: "dense1.weight"), result.history)
    }
    let (big, history) = try weights(12, 1)
    let (small, smallHistory) = try weights(4, 3)
    for (left, right) in zip(big, small) { #expect(abs(left - right) < 1e-5) }
    #expect(history.steps.map(\.examples) == smallHistory.steps.map(\.examples))
    #expect(history.steps.count == 12)
    for (left, right) in zip(history.steps, smallHistory.steps) {
      #expect(abs(left.loss - right.loss) < 1e-5)
      #expect(abs(left.gradientNorm - right.gradientNorm) < 1e-4)
    }
  }

  @Test func devicesAgreeWithinAnEnvelope() throws {
    guard TestDevices.all.count > 1 else { return }
    let data = try TestData.columns(200)
    let curves = try TestDevices.all.map { device in
      let trainer = try TestData.trainer(device)
      return try trainer.fit(data, epochs: 4, batchSize: 8).history.steps.map(\.loss)
    }
    #expect(curves[0].count == 100)
    for (step, pair) in zip(curves[0], curves[1]).enumerated() {
      // Rounding differs by 1e-7 a step and grows with the weights' paths.
      let allowed = 1e-5 + 5e-4 * Float(step) / 10
      #expect(abs(pair.0 - pair.1) <= allowed, "step \(step + 1): \(pair.0) and \(pair.1)")
    }
  }

  /// On devices of its own: other tests work on the shared ones at the same time.
  @Test(arguments: TestDevices.fresh)
  func aStepReadsNothingAndAllocatesNothing(_ device: Device) throws {
    let trainer = try TestData.trainer(device)
    trainer.progressInterval = .seconds(3600)
    let watcher = Watcher()
    var counters: [Int: DeviceCounters] = [:]
    watcher.onStep = { counters[$0] = device.counters }
    try trainer.fit(TestData.columns(320), epochs: 1, batchSize: 8, callbacks: [watcher])
    let (early, late) = (try #require(counters[10]), try #require(counters[38]))
    #expect(late.blockingReads == early.blockingReads)
    #expect(late.allocations == early.allocations)
    #expect(late.launches > early.launches)
  }

  @Test func valuesAreReadOnDemand() throws {
    let trainer = try TestData.trainer(.cpu)
    trainer.progressInterval = .seconds(3600)
    let watcher = Watcher()
    watcher.readsValues = true
    let result = try trainer.fit(
      TestData.columns(40), epochs: 2, batchSize: 8, callbacks: [watcher])
    #expect(watcher.values == result.history.steps)
    #expect(watcher.values.map(\.step) == Array(1...10))
    #expect(watcher.epochs == result.history.epochs)
    #expect(watcher.progress.last?.batch == 5 && watcher.progress.last?.lastEpoch == 2)
  }

  @Test func validationUsesDataThatTrainingDoesNotSee() throws {
    let data = try TestData.columns(100)
    let trainer = try TestData.trainer(.cpu)
    let result = try trainer.fit(data, epochs: 2, batchSize: 16, validation: .split(0.2))
    #expect(result.history.steps.reduce(0) { $0 + $1.examples } == 160)
    #expect(result.history.epochs.allSatisfy { $0.validationLoss != nil })
    let other = try TestData.columns(24, seed: 8)
    let second = try trainer.fit(data, epochs: 1, batchSize: 16, validation: .data(other))
    #expect(second.history.epochs.count == 3)
    let held = try trainer.evaluate(other)
    #expect(second.history.epochs.last?.validationLoss == held.loss)
    #expect(second.history.epochs.last?.validationAccuracy == held.accuracy)
  }

  @Test func anExplosionStopsWithItsStep() throws {
    try withFolder { folder in
      let trainer = try TestData.trainer(
        .cpu, optimizer: .sgd(learningRate: 1e30), clip: nil, stability: Stability(onFault: .raise))
      let output = try RunFolder(new: folder + "/run")
      let text = sentence {
        try trainer.fit(TestData.columns(32), epochs: 5, batchSize: 8, output: output)
      }
      #expect(text.hasPrefix("training stopped at step "))
      #expect(text.contains("lower the learning rate or clip"))
      #expect(trainer.history.steps.allSatisfy { $0.loss.isFinite && $0.gradientNorm.isFinite })
      #expect(throws: TrainingError.self) { try RunFolder(existing: folder + "/run") }
    }
  }

  @Test func optionsAreChecked() throws {
    let data = try TestData.columns(32)
    let trainer = try TestData.trainer(.cpu)
    #expect(sentence { try trainer.fit(data, epochs: 0) } == "epochs: requires at least 1, got 0")
    #expect(sentence { try trainer.fit(data, epochs: 1, batchSize: -1) }.contains("batch size"))
    #expect(
      sentence { try trainer.fit(data, epochs: 1, gradientAccumulation: 0) }
        .contains("gradient accumulation"))
    for part in [0, 1, -0.5, .nan] {
      #expect(
        sentence { try trainer.fit(data, epochs: 1, validation: .split(part)) }
          .contains("between 0 and 1"))
    }
    let wide = try Dataset(
      images: [UInt8](repeating: 0, count: 90), height: 9, width: 10, labels: [0], classCount: 4)
    #expect(sentence { try trainer.fit(wide, epochs: 1) }.contains("examples of 8x8x1, got 9x10x1"))
    let many = try TestData.columns(32, classes: 4)
    let five = try Dataset(
      images: [UInt8](repeating: 0, count: 64), height: 8, width: 8, labels: [4], classCount: 5)
    #expect(
      sentence { try trainer.fit(five, epochs: 1) }.contains("as many outputs as classes (5)"))
    #expect(trainer.history.steps.isEmpty)
    #expect(
      sentence { try trainer.fit(many, epochs: 1, validation: .data(five)) }.contains("classes"))
    #expect(
      sentence {
        _ = try trainer.model.compile(optimizer: .adam(learningRate: .nan), loss: .huber())
      }.contains("learning rate"))
    #expect(sentence { _ = try trainer.predict(Features.bytes([1, 2])) }.contains("8x8x1"))
  }
}
