import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelTraining
import Testing

/// Augmentation reaches the weights, is recorded, and survives a stop.
@Suite struct AugmentedFitTests {
  private static let steps = "shift=1,rotate=10:edge,noise=0.1,mixup=0.5"

  private static func bits(
    _ device: Device, _ augmentation: String?
  ) throws -> [[UInt32]] {
    let trainer = try TestData.trainer(device)
    try trainer.fit(
      TestData.columns(50), epochs: 2, batchSize: 8,
      augmentation: augmentation.map { try Augmentation(parsing: $0) })
    return try TestData.bits(trainer.model)
  }

  @Test(arguments: TestDevices.all) func everyStepReachesTheWeights(_ device: Device) throws {
    let plain = try Self.bits(device, nil)
    var seen: Set<[[UInt32]]> = [plain]
    for text in [
      "shift=1", "crop=1:edge", "flip=vertical", "rotate=10", "zoom=0.2", "elastic=4:2",
      "brightness=0.2", "contrast=0.3", "erase=3", "noise=0.05", "mixup=0.4", "cutmix=1",
      Self.steps,
    ] {
      #expect(seen.insert(try Self.bits(device, text)).inserted, "\(text) changes nothing")
    }
    #expect(try Self.bits(device, Self.steps) == Self.bits(device, Self.steps))
    #expect(try Self.bits(device, "shift=0,noise=0,flip=vertical@0,mixup=1@0") == plain)
  }

  /// The loss of a step that hardly moves the weights is λL(y) + (1-λ)L(y') of the mixed batch.
  @Test(arguments: TestDevices.all, ["mixup=1", "cutmix=1"])
  func mixedLossesWeighBothLabels(_ device: Device, text: String) throws {
    let data = try TestData.columns(24)
    let model = try Model(
      Models.mlp(hidden: [8], classes: 4, activation: .tanh), input: [8, 8, 1], device: device,
      seed: 4)
    let trainer = try model.compile(
      optimizer: .sgd(learningRate: 1e-20), loss: .softmaxCrossEntropy())
    let augmentation = try Augmentation(parsing: text)
    try trainer.fit(data, epochs: 1, batchSize: 8, augmentation: augmentation, seed: 5)
    let loader = try BatchLoader(
      data, batchSize: 8, shuffleSeed: 5, augmentation: augmentation, augmentationSeed: 5)
    for (step, batch) in loader.batches(epoch: 0).enumerated() {
      let mix = try #require(batch.mix)
      #expect(mix.weight > 0 && mix.weight < 1)
      let inputs = try Tensor(batch.features.normalized, shape: batch.shape, on: device)
      let outputs = try trainer.predict(inputs).scalars()
      func loss(_ labels: [Int32]) -> Double {
        labels.enumerated().reduce(0) { sum, example in
          let row = outputs[(4 * example.offset)..<(4 * example.offset + 4)].map(Double.init)
          return sum + log(row.reduce(0) { $0 + exp($1) }) - row[Int(example.element)]
        } / 8
      }
      let weight = Double(mix.weight)
      let expected = weight * loss(batch.labels) + (1 - weight) * loss(mix.labels)
      #expect(abs(Double(trainer.history.steps[step].loss) - expected) < 1e-5)
      let right = (0..<8).count { example in
        let row = outputs[(4 * example)..<(4 * example + 4)]
        return row.max() == row[4 * example + Int(batch.labels[example])]
      }
      #expect(trainer.history.steps[step].accuracy == Float(right) / 8, "the own label counts")
    }
  }

  @Test(arguments: TestDevices.all, [1, 4, 6])
  func aResumedRunEqualsAnUninterruptedOne(_ device: Device, steps: Int) throws {
    let augmentation = try Augmentation(parsing: Self.steps)
    let data = try TestData.columns(50)
    let whole = try TestData.trainer(device)
    try whole.fit(
      data, epochs: 3, batchSize: 8, gradientAccumulation: 2, augmentation: augmentation)
    try withFolder { folder in
      let watcher = Watcher()
      watcher.stopsAfter = steps
      try TestData.trainer(device).fit(
        data, epochs: 3, batchSize: 8, gradientAccumulation: 2, augmentation: augmentation,
        output: RunFolder(new: folder + "/run"), callbacks: [watcher])
      let run = try RunFolder(existing: folder + "/run")
      #expect(try run.description().plan.augmentation == augmentation)
      let trainer = try TestData.trainer(device)
      try trainer.restore(from: run)
      for other in [nil, "shift=1"] {
        let text = sentence {
          try trainer.fit(
            data, epochs: 3, batchSize: 8, gradientAccumulation: 2,
            augmentation: other.map { try Augmentation(parsing: $0) })
        }
        #expect(text.contains("augmentation \(Self.steps), now \(other ?? "none")"))
      }
      try trainer.fit(
        data, epochs: 3, batchSize: 8, gradientAccumulation: 2, augmentation: augmentation,
        output: run)
      #expect(try TestData.bits(trainer.model) == TestData.bits(whole.model))
      #expect(trainer.history.steps == whole.history.steps)
    }
  }

  @Test func plansWithoutAugmentationAreRead() throws {
    let trainer = try TestData.recipeTrainer(.cpu)
    try withFolder { folder in
      try trainer.fit(TestData.columns(16), epochs: 1, output: RunFolder(new: folder + "/run"))
      let run = try RunFolder(existing: folder + "/run")
      let text = String(decoding: try DataFile.read(run.descriptionPath), as: UTF8.self)
      #expect(!text.contains("augmentation"))
      #expect(try run.description().plan.augmentation == nil)
    }
  }

  @Test func augmentationMustFitTheExamples() throws {
    let trainer = try TestData.trainer(.cpu)
    let before = try TestData.bits(trainer.model)
    let text = sentence {
      try trainer.fit(TestData.columns(16), epochs: 1, augmentation: Augmentation(.shift(8)))
    }
    #expect(text.contains("augmentation shift=8: may move all of an image of 8x8x1 out"))
    #expect(try TestData.bits(trainer.model) == before && trainer.history.steps.isEmpty)
  }

  /// Three hundred digits that are always shifted: with augmentation the network has seen that.
  @Test func shiftsTeachToReadShiftedDigits() throws {
    let (train, plain) = try SyntheticDigits.trainAndTest(train: 300, test: 200, seed: 2)
    let shifted = try Augmentation(.shift(5))
    var moved: [UInt8] = []
    for batch in try BatchLoader(plain, batchSize: 200, augmentation: shifted, augmentationSeed: 8)
      .batches(epoch: 0)
    { if case .bytes(let bytes) = batch.features { moved = bytes } }
    let test = try Dataset(
      images: moved, height: 28, width: 28, labels: plain.labels, classCount: 10)
    let accuracy = try [nil, shifted].map { augmentation in
      let trainer = try Model(
        Models.mlp(hidden: [64], classes: 10), input: [28, 28, 1], device: .cpu, seed: 1
      ).compile(optimizer: .adam(learningRate: 2e-3), loss: .softmaxCrossEntropy())
      try trainer.fit(train, epochs: 30, batchSize: 20, augmentation: augmentation)
      return try #require(try trainer.evaluate(test).accuracy)
    }
    #expect(accuracy[1] > accuracy[0] + 0.1, "\(accuracy)")
  }
}
