import Keel
import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining
import Testing

/// Everything that a technique carries from step to step is in checkpoints and comes back when a
/// training goes back: with each of them a training that was stopped, or that met a bad batch,
/// equals one that was not, bit for bit.
@Suite struct CarriedStateTests {
  /// A technique at work, alone.
  struct Technique: CustomTestStringConvertible, Sendable {
    var name: String
    var optimizer = Optimizer.adam(learningRate: 3e-3)
    var stability = Stability()
    var schedule = Schedule.constant
    var pair: PairTerm?
    /// What is done to a fresh model before its training.
    var prepare: @Sendable (Model) throws -> Void = { _ in }
    var testDescription: String { name }

    init(_ name: String, _ change: (inout Technique) throws -> Void) rethrows {
      self.name = name
      try change(&self)
    }
  }

  static let techniques: [Technique] = {
    do { return try makeTechniques() } catch { preconditionFailure("\(error)") }
  }()

  private static func makeTechniques() throws -> [Technique] {
    let sgd = Optimizer.sgd(learningRate: 0.02, momentum: 0.9)
    return [
      try Technique("Deadly Flip") {
        $0.optimizer = sgd
        $0.stability.flip = try DeadlyFlip(
          .incoming, volatile: 0.001, calm: 0.0009, probability: 0.7, period: 2, cooldown: 5)
      },
      try Technique("equity") {
        $0.stability.equity = PeriodicEquity(
          try EquityTransform(), ifImbalanceAbove: 1, every: 3, memory: 0.7)
      },
      try Technique("flip and equity") {
        $0.stability.flip = try DeadlyFlip(
          .stateSwap, volatile: 0.001, calm: 0.0009, period: 2, cooldown: 3)
        $0.stability.equity = PeriodicEquity(
          try EquityTransform(), ifImbalanceAbove: 1, every: 2, memory: 0.5)
      },
      try Technique("shrinking") {
        $0.stability.shrink = try .recommended(shrink: 0.9, every: 3)
        $0.prepare = { try $0.initialize(.heNormal) }
      },
      Technique("spectral norm") { $0.stability.constraints = [.spectralNorm(0.8)] },
      Technique("coordinates") { $0.stability.coordinates = .random },
      Technique("uniform noise") { $0.stability.noise = .uniform(amplitude: 0.01) },
      Technique("noise in a ball") {
        $0.stability.noise = .ball(radius: 0.1, whereNormBelow: 1e3)
      },
      Technique("AutoClip") { $0.stability.clip = [.autoClip(percentile: 20, window: 5)] },
      Technique("ZClip") {
        $0.stability.clip = [.zClip(alpha: 0.8, threshold: 0.3, warmUp: 3)]
      },
      Technique("AdaGC") { $0.stability.clip = [.adaGC(relative: 1, beta: 0.5, warmUp: 2)] },
      Technique("loss scale") {
        $0.stability.lossScale = 256
        $0.schedule = .cosine(updates: 12)
      },
      Technique("optimistic mirror descent") {
        $0.optimizer = .mirrorDescent(map: .power(q: 1.5), learningRate: 0.02, isOptimistic: true)
      },
      Technique("pair term") { $0.pair = PairTerm(label: 1) },
      Technique("frozen layer") { $0.prepare = { try $0.freeze("conv1") } },
      Technique("learning-rate scale") {
        $0.prepare = { try $0.setLearningRateScale(0.1, at: "dense1") }
      },
    ]
  }

  private func trainer(_ technique: Technique, _ device: Device) throws -> Trainer {
    let model = try Model(TestData.network, input: [8, 8, 1], device: device, seed: 7)
    try technique.prepare(model)
    return try model.compile(
      optimizer: technique.optimizer, loss: .softmaxCrossEntropy(), schedule: technique.schedule,
      stability: technique.stability, pair: technique.pair)
  }

  /// Whether something came of the technique in a training: else a test of it proves nothing.
  private func acted(_ trainer: Trainer) -> Bool {
    let techniques = trainer.updater.techniques
    return techniques.flip?.counters.flips != 0 && techniques.equity?.applications != 0
  }

  @Test(arguments: TestDevices.all, techniques)
  func aResumedRunEqualsAnUninterruptedOne(_ device: Device, _ technique: Technique) throws {
    let data = try TestData.columns(40)
    let augmentation = try Augmentation(parsing: "shift=1,mixup=0.2")
    let whole = try trainer(technique, device)
    try whole.fit(data, epochs: 3, batchSize: 8, augmentation: augmentation)
    #expect(acted(whole))
    // In the middle of an epoch, at its end, and within a cooldown.
    for steps in [4, 5, 9] {
      try withFolder { folder in
        let watcher = Watcher()
        watcher.stopsAfter = steps
        try trainer(technique, device).fit(
          data, epochs: 3, batchSize: 8, augmentation: augmentation,
          output: RunFolder(new: folder + "/run"), callbacks: [watcher])
        let run = try RunFolder(existing: folder + "/run")
        // A model as its layers declare it: what else was done to it is in the run.
        let resumed = try Model(TestData.network, input: [8, 8, 1], device: device, seed: 7)
          .compile(
            optimizer: technique.optimizer, loss: .softmaxCrossEntropy(),
            schedule: technique.schedule, stability: technique.stability, pair: technique.pair)
        try resumed.restore(from: run)
        try resumed.fit(data, epochs: 3, batchSize: 8, augmentation: augmentation)
        #expect(try TestData.bits(resumed.model) == TestData.bits(whole.model), "at \(steps)")
        #expect(resumed.history.steps == whole.history.steps)
        #expect(resumed.updater.techniques.state == whole.updater.techniques.state)
      }
    }
  }

  @Test(arguments: TestDevices.all, techniques)
  func goingBackRestoresIt(_ device: Device, _ technique: Technique) throws {
    let data = try Self.poisoned()
    var rewinding = technique
    rewinding.stability.onFault = .rewind
    // No spikes: with some techniques norms jump.
    rewinding.stability.rewind = RewindPlan(interval: 3, spikeThreshold: nil)
    let going = try trainer(rewinding, device)
    try going.fit(data, epochs: 3, batchSize: 8)
    // Once an epoch, and wherever a pair holds the example.
    #expect(going.history.faults.count >= 3)
    let spared = try trainer(technique, device)
    spared.excluded = going.excluded
    try spared.fit(data, epochs: 3, batchSize: 8)
    #expect(acted(spared))
    #expect(try TestData.bits(going.model) == TestData.bits(spared.model))
    #expect(going.updater.techniques.state == spared.updater.techniques.state)
    #expect(going.history.steps.map(\.loss) == spared.history.steps.map(\.loss))
    #expect(going.history.epochs.map(\.epoch) == [1, 2, 3])
  }

  /// The columns as numbers, with a NaN in one example.
  private static func poisoned() throws -> Dataset {
    let data = try TestData.columns(40)
    var numbers: [Float] = []
    for example in 0..<40 {
      guard case .bytes(let bytes) = data.example(at: example) else { continue }
      numbers += bytes.map { Float($0) / 255 }
    }
    numbers[27 * 64 + 20] = .nan
    return try Dataset(
      features: numbers, extents: [8, 8, 1], labels: data.labels, classCount: 4)
  }

  /// Calibrated, folded and frozen normalisations train on as they are.
  @Test(arguments: TestDevices.all, ["calibrated", "folded", "frozen"])
  func modesOfBatchNormComeBack(_ device: Device, mode: String) throws {
    let data = try TestData.columns(40)
    func change(_ model: Model) throws {
      let count = 16 * 64
      let batch = try Tensor(
        (0..<count).map { Float(($0 * 37) % 19) / 19 }, shape: [16, 8, 8, 1], on: device)
      switch mode {
      case "calibrated": try model.calibrateBatchNorm([batch])
      case "folded":
        try model.calibrateBatchNorm([batch])
        try model.foldBatchNorm()
      default: try model.freeze("batchnorm1")
      }
    }
    let whole = try TestData.trainer(device)
    try change(whole.model)
    try whole.fit(data, epochs: 2, batchSize: 8)
    try withFolder { folder in
      let watcher = Watcher()
      watcher.stopsAfter = 4
      let first = try TestData.trainer(device)
      try change(first.model)
      try first.fit(
        data, epochs: 2, batchSize: 8, output: RunFolder(new: folder + "/run"),
        callbacks: [watcher])
      let resumed = try TestData.trainer(device)
      try resumed.restore(from: RunFolder(existing: folder + "/run"))
      #expect(resumed.model.modes == first.model.modes)
      try resumed.fit(data, epochs: 2, batchSize: 8)
      #expect(try TestData.bits(resumed.model) == TestData.bits(whole.model))
      #expect(try resumed.evaluate(data) == whole.evaluate(data))
      // A folded model takes over what is not folded, too.
      let online = try TestData.trainer(device)
      try online.fit(data, epochs: 1, batchSize: 8, output: RunFolder(new: folder + "/online"))
      try resumed.restore(from: RunFolder(existing: folder + "/online"))
      #expect(try resumed.evaluate(data) == online.evaluate(data))
    }
  }

  /// Steps that were left out in a row count on after a stop.
  @Test(arguments: TestDevices.all) func skipsInARowComeBack(_ device: Device) throws {
    var numbers = [Float](repeating: 0.5, count: 48 * 64)
    for example in 0..<48 { numbers[example * 64] = .nan }
    let data = try Dataset(
      features: numbers, extents: [8, 8, 1], labels: (0..<48).map { Int32($0 % 4) }, classCount: 4)
    try withFolder { folder in
      let watcher = Watcher()
      watcher.stopsAfter = 3
      let stability = Stability(maximumSkips: 4)
      try TestData.trainer(device, stability: stability).fit(
        data, epochs: 1, batchSize: 8, output: RunFolder(new: folder + "/run"),
        callbacks: [watcher])
      let resumed = try TestData.trainer(device, stability: stability)
      try resumed.restore(from: RunFolder(existing: folder + "/run"))
      #expect(try resumed.updater.skips() == 3)
      let text = sentence { try resumed.fit(data, epochs: 1, batchSize: 8) }
      #expect(text.contains("the last of 5 such steps in a row"), "\(text)")
      #expect(resumed.history.steps.count == 4)
    }
  }

  /// What is usual is known after a stop: a spike right after it is found.
  @Test func spikesAreFoundRightAfterAResume() throws {
    let data = try TestData.columns(320)
    var numbers: [Float] = []
    for example in 0..<320 {
      guard case .bytes(let bytes) = data.example(at: example) else { continue }
      numbers += bytes.map { Float($0) / 255 }
    }
    // Large, and of another class: what is large and right has no gradient.
    let strange = Set([44, 90, 171, 233])
    func set(isPoisoned: Bool) throws -> Dataset {
      var (changed, labels) = (numbers, data.labels)
      for example in isPoisoned ? strange : [] {
        for pixel in 0..<64 { changed[example * 64 + pixel] *= 3e3 }
        labels[example] = (labels[example] + 1) % 4
      }
      return try Dataset(features: changed, extents: [8, 8, 1], labels: labels, classCount: 4)
    }
    func trainer() throws -> Trainer {
      try Model(Models.mlp(hidden: [8], classes: 4), input: [8, 8, 1], device: .cpu, seed: 7)
        .compile(
          optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy(),
          stability: Stability(
            onFault: .rewind, rewind: RewindPlan(interval: 8, spikeThreshold: 8)))
    }
    let poisoned = try set(isPoisoned: true)
    let good = try set(isPoisoned: false)
    let whole = try trainer()
    try whole.fit(good, epochs: 1, batchSize: 8)
    try whole.fit(poisoned, epochs: 1, batchSize: 8)
    // Before the 16 steps that a detector takes to learn what is usual.
    #expect((whole.history.faults.first?.place.step ?? .max) < 16)
    try withFolder { folder in
      try trainer().fit(good, epochs: 1, batchSize: 8, output: RunFolder(new: folder + "/run"))
      let resumed = try trainer()
      try resumed.restore(from: RunFolder(existing: folder + "/run"))
      try resumed.fit(poisoned, epochs: 1, batchSize: 8)
      #expect(resumed.history.faults == whole.history.faults)
      #expect(try TestData.bits(resumed.model) == TestData.bits(whole.model))
    }
  }

  /// A plateau is met once, however often training goes back to the end of an epoch.
  @Test func goingBackDoesNotRepeatTheEndOfAnEpoch() throws {
    let plateau = try PlateauReducer(.loss, patience: 1, factor: 0.5, threshold: 0.9)
    func trainer(_ stability: Stability) throws -> Trainer {
      try Model(TestData.network, input: [8, 8, 1], device: .cpu, seed: 7).compile(
        optimizer: .adam(learningRate: 3e-3), loss: .softmaxCrossEntropy(), plateau: plateau,
        stability: stability)
    }
    let data = try Self.poisoned()
    let going = try trainer(
      Stability(onFault: .rewind, rewind: RewindPlan(spikeThreshold: nil)))
    try going.fit(data, epochs: 4, batchSize: 8)
    let spared = try trainer(Stability())
    spared.excluded = going.excluded
    try spared.fit(data, epochs: 4, batchSize: 8)
    #expect(going.history.epochs.map(\.epoch) == [1, 2, 3, 4])
    #expect(going.plateau == spared.plateau && (going.plateau?.reductions ?? 0) > 0)
    #expect(try TestData.bits(going.model) == TestData.bits(spared.model))
  }

  /// Checkpoints of the form before still load, unless they lack what the training needs.
  @Test func olderCheckpointsLoadOrAreRefused() throws {
    try withFolder { folder in
      let data = try TestData.columns(40)
      func older(_ trainer: Trainer, _ name: String, without prefix: String) throws -> RunFolder {
        try trainer.fit(data, epochs: 1, batchSize: 8, output: RunFolder(new: "\(folder)/\(name)"))
        let run = try RunFolder(existing: "\(folder)/\(name)")
        var file = try Safetensors(decoding: DataFile.read(run.checkpointPath), path: "x")
        #expect(file.metadata["version"] == "3")
        file.metadata["version"] = "2"
        file.metadata["state"] = nil
        file.entries.removeAll { $0.name.hasPrefix(prefix) }
        try DataFile.write(file.encoded(), to: run.checkpointPath)
        return run
      }
      let plain = try TestData.trainer(.cpu)
      let run = try older(plain, "plain", without: "nothing")
      let resumed = try TestData.trainer(.cpu)
      try resumed.restore(from: run)
      try plain.fit(data, epochs: 1, batchSize: 8)
      try resumed.fit(data, epochs: 1, batchSize: 8)
      #expect(try TestData.bits(resumed.model) == TestData.bits(plain.model))
      for (name, prefix, needs) in [
        ("Deadly Flip", "none", "Deadly Flip"),
        ("equity", "optimizer.equity", "periodic equity transforms"),
        ("spectral norm", "optimizer.spectral", "the spectral norm"),
      ] {
        let technique = try #require(Self.techniques.first { $0.name == name })
        let run = try older(trainer(technique, .cpu), name, without: prefix)
        let fresh = try trainer(technique, .cpu)
        let before = try TestData.bits(fresh.model)
        let text = sentence { try fresh.restore(from: run) }
        #expect(text.contains("did not keep the state of \(needs)"), "\(text)")
        #expect(try TestData.bits(fresh.model) == before && fresh.updater.step == 0)
      }
    }
  }

  /// A run with a technique is no run without it.
  @Test func otherTechniquesAreRefused() throws {
    let technique = try #require(Self.techniques.first { $0.name == "Deadly Flip" })
    let data = try TestData.columns(16)
    try withFolder { folder in
      let optimizer = technique.optimizer
      try trainer(technique, .cpu).fit(data, epochs: 1, output: RunFolder(new: folder + "/flip"))
      try TestData.trainer(.cpu, optimizer: optimizer, clip: nil).fit(
        data, epochs: 1, output: RunFolder(new: folder + "/plain"))
      let plain = try TestData.trainer(.cpu, optimizer: optimizer, clip: nil)
      #expect(
        sentence { try plain.restore(from: RunFolder(existing: folder + "/flip")) }
          .contains("was trained with Deadly Flip, which this training lacks"))
      let flip = try trainer(technique, .cpu)
      #expect(
        sentence { try flip.restore(from: RunFolder(existing: folder + "/plain")) }
          .contains("was trained without Deadly Flip, which this training has"))
    }
  }
}
