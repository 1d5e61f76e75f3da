import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelTraining
import Testing

@Suite struct ResumeTests {
  private func whole(_ device: Device) throws -> (bits: [[UInt32]], history: History) {
    let trainer = try TestData.trainer(device)
    try trainer.fit(TestData.columns(50), epochs: 3, batchSize: 8, gradientAccumulation: 2)
    return (try TestData.bits(trainer.model), trainer.history)
  }

  /// Epochs have 7 batches in 4 steps; 4 is the end of an epoch, the others are within one.
  @Test(arguments: TestDevices.all, [1, 3, 4, 6])
  func aResumedRunEqualsAnUninterruptedOne(_ device: Device, steps: Int) throws {
    let expected = try whole(device)
    try withFolder { folder in
      let data = try TestData.columns(50)
      let watcher = Watcher()
      watcher.stopsAfter = steps
      let stopped = try TestData.trainer(device).fit(
        data, epochs: 3, batchSize: 8, gradientAccumulation: 2,
        output: RunFolder(new: folder + "/run"), callbacks: [watcher])
      #expect(!stopped.isComplete)
      #expect(stopped.summary.contains("resume from there"))

      let run = try RunFolder(existing: folder + "/run")
      #expect(try run.description().progress.isComplete == false)
      let trainer = try TestData.trainer(device)
      try trainer.restore(from: run)
      let result = try trainer.fit(
        data, epochs: 3, batchSize: 8, gradientAccumulation: 2, output: run)
      #expect(result.isComplete)
      #expect(try TestData.bits(trainer.model) == expected.bits)
      #expect(result.history.steps == expected.history.steps)
      #expect(result.history.epochs.map(\.loss) == expected.history.epochs.map(\.loss))
      #expect(try run.history() == result.history)
      #expect(try run.description().progress.isComplete)
    }
  }

  @Test func aStopRequestEndsAfterTheStep() throws {
    let stop = StopRequest()
    let watcher = Watcher()
    watcher.onStep = { if $0 == 3 { stop.request() } }
    let trainer = try TestData.trainer(.cpu)
    let data = try TestData.columns(64)
    let result = try trainer.fit(
      data, epochs: 2, batchSize: 8, stop: stop, callbacks: [watcher])
    #expect(result.stoppedAt == BatchPosition(epoch: 1, step: 3))
    #expect(result.history.steps.count == 3)
    stop.clear()
    // The same trainer goes on by itself.
    #expect(try trainer.fit(data, epochs: 2, batchSize: 8, stop: stop).isComplete)
    let other = try TestData.trainer(.cpu)
    try other.fit(data, epochs: 2, batchSize: 8)
    #expect(try TestData.bits(other.model) == TestData.bits(trainer.model))
  }

  @Test func aRunIsRebuiltFromItsDescription() throws {
    try withFolder { folder in
      let path = folder + "/deep/run"
      let data = try TestData.columns(40)
      let first = try TestData.recipeTrainer(.cpu)
      try first.fit(
        data, epochs: 2, batchSize: 8, validation: .split(0.2),
        output: RunFolder(new: path, data: ["source": "columns"]))
      let run = try RunFolder(existing: path)
      #expect(run.data == ["source": "columns"])
      let text = try run.description()
      #expect(text.plan.examples == 32 && text.plan.validationExamples == 8)
      #expect(text.optimizer == .adam() && text.stability.clip == [.globalNorm(1)])
      let second = try run.trainer(on: .cpu)
      #expect(try TestData.bits(second.model) == TestData.bits(first.model))
      #expect(try second.evaluate(data) == first.evaluate(data))
      #expect(second.history == first.history)
      // A complete run can be trained further.
      let more = try second.fit(data, epochs: 1, batchSize: 8, output: run)
      #expect(more.history.epochs.map(\.epoch) == [1, 2, 3])
      #expect(try run.history().epochs.count == 3)
      for file in ["run.json", "checkpoint.safetensors", "history.csv", "report.html"] {
        #expect(DataFile.exists("\(path)/\(file)"))
      }
    }
  }

  /// Learning-rate scales and the initialisers that noise is measured by come back with a run.
  @Test func initializationIsRebuilt() throws {
    try withFolder { folder in
      let path = folder + "/run"
      let data = try TestData.columns(40)
      let first = try TestData.recipeTrainer(.cpu)
      try first.model.initialize(.heNormal)
      try first.model.setLearningRateScale(0.25, at: "dense1")
      let record = try #require(first.model.initializationRecord)
      #expect(record.initializer == .heNormal && record.learningRateScales.count == 2)
      try first.fit(data, epochs: 1, batchSize: 8, output: RunFolder(new: path))
      let run = try RunFolder(existing: path)
      #expect(try run.description().initialization == record)
      let second = try run.trainer(on: .cpu)
      #expect(second.model.initializationRecord == record)
      // Two more epochs are the same from here as from there.
      try first.fit(data, epochs: 2, batchSize: 8)
      try second.fit(data, epochs: 2, batchSize: 8)
      #expect(try TestData.bits(second.model) == TestData.bits(first.model))
    }
  }

  @Test func foldersThatAreInUseAreRefused() throws {
    try withFolder { folder in
      let path = folder + "/run"
      let data = try TestData.columns(16)
      try TestData.recipeTrainer(.cpu).fit(data, epochs: 1, output: RunFolder(new: path))
      let before = try DataFile.read(path + "/checkpoint.safetensors")
      #expect(sentence { _ = try RunFolder(new: path) }.contains("holds another run"))
      #expect(sentence { _ = try RunFolder(new: path + "/run.json") }.contains("not a folder"))
      #expect(sentence { _ = try RunFolder(new: folder) }.contains("not empty"))
      #expect(sentence { _ = try RunFolder(existing: folder) }.contains("holds no run"))
      let fresh = try TestData.recipeTrainer(.cpu)
      let taken = try RunFolder(existing: path)
      #expect(
        sentence { try fresh.fit(data, epochs: 1, output: taken) }.contains("holds another run"))
      #expect(try DataFile.read(path + "/checkpoint.safetensors") == before)
    }
  }

  @Test func otherOptionsAreRefusedInTheMiddle() throws {
    try withFolder { folder in
      let data = try TestData.columns(40)
      let watcher = Watcher()
      watcher.stopsAfter = 2
      let trainer = try TestData.recipeTrainer(.cpu)
      try trainer.fit(
        data, epochs: 2, batchSize: 8, output: RunFolder(new: folder + "/run"),
        callbacks: [watcher])
      let resumed = try RunFolder(existing: folder + "/run").trainer(on: .cpu)
      let text = sentence { try resumed.fit(data, epochs: 2, batchSize: 16) }
      #expect(text.contains("batch size 8, now 16"))
      let less = try TestData.columns(32)
      #expect(
        sentence { try resumed.fit(less, epochs: 2, batchSize: 8) }
          .contains("training examples 40, now 32"))
    }
  }

  @Test func damagedAndForeignCheckpointsChangeNothing() throws {
    try withFolder { folder in
      let path = folder + "/run"
      try TestData.recipeTrainer(.cpu).fit(
        TestData.columns(16), epochs: 1, output: RunFolder(new: path))
      let run = try RunFolder(existing: path)
      let good = try DataFile.read(run.checkpointPath)
      let file = try Safetensors(decoding: good, path: "x")

      func refusal(_ file: Safetensors) throws -> String { try refusal(file.encoded()) }
      func refusal(_ bytes: [UInt8]) throws -> String {
        try DataFile.write(bytes, to: run.checkpointPath)
        let trainer = try TestData.recipeTrainer(.cpu)
        let before = try TestData.bits(trainer.model)
        let text = sentence { try trainer.restore(from: run) }
        #expect(try TestData.bits(trainer.model) == before)
        #expect(trainer.updater.step == 0)
        return text
      }
      #expect(try refusal(Array(good.dropLast(9))).contains("is truncated"))
      var poisoned = file
      poisoned.entries[0].bytes.replaceSubrange(0..<4, with: [0, 0, 0xC0, 0x7F])
      #expect(try refusal(poisoned).contains("'dense1.weight' holds nan"))
      var less = file
      less.entries.removeLast()
      #expect(try refusal(less).contains("'optimizer.moment2.dense2.bias' lacks there"))
      var sgd = file
      sgd.metadata["optimizer"] = "sgd"
      #expect(try refusal(sgd).contains("trained with sgd, not adam"))
      #expect(try refusal(Safetensors(entries: file.entries)).contains("not a checkpoint"))
      #expect(try refusal([]).contains("only 0 bytes"))

      try DataFile.write(good, to: run.checkpointPath)
      let wider = try TestData.recipeTrainer(.cpu, hidden: [13])
      let text = sentence { try wider.restore(from: run) }
      #expect(text.contains("'dense1.weight' is 64x12 there, 64x13 here"))
      for text in ["{", "{}", "[1]", "{\"version\":1}", "\u{0}"] {
        try DataFile.write(Array(text.utf8), to: run.descriptionPath)
        #expect(sentence { _ = try RunFolder(existing: path) }.contains("run.json: is not what"))
      }
    }
  }

  @Test func weightsAloneAreSavedAndLoaded() throws {
    try withFolder { folder in
      let path = folder + "/model.safetensors"
      let trainer = try TestData.trainer(.cpu)
      try trainer.fit(TestData.columns(32), epochs: 1, batchSize: 8)
      try trainer.model.save(to: path)
      let other = try TestData.trainer(.cpu, seed: 8)
      try other.model.load(from: path)
      #expect(try TestData.bits(other.model) == TestData.bits(trainer.model))
      try other.model.setWeights([.infinity, 0, 0, 0], named: "dense2.bias")
      #expect(sentence { try other.model.save(to: path) }.contains("'dense2.bias' holds inf"))
      #expect(sentence { try trainer.model.load(from: folder + "/none") }.contains("not exist"))
    }
  }

  @Test func aPathThatCannotBeWrittenIsFoundBeforeTraining() throws {
    try withFolder { folder in
      try DataFile.write([1], to: folder + "/file")
      for path in [folder + "/file/run", "/proc/keel-run"] {
        let trainer = try TestData.trainer(.cpu)
        let output = try RunFolder(new: path)
        #expect(
          sentence { try trainer.fit(TestData.columns(8), epochs: 1, output: output) } != "")
        #expect(trainer.history.steps.isEmpty)
      }
      let model = try TestData.trainer(.cpu).model
      #expect(sentence { try model.save(to: folder + "/file/model") } != "")
    }
  }
}
