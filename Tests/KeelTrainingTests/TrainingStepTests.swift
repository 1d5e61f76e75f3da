import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelOpenCL
import KeelTraining
import Testing

/// A device of its own: its counters are nobody else's.
private let stepDevice = OpenCLDiscovery.shared.devices.first.flatMap { try? OpenCLBackend($0) }

/// What a step of a training costs beside the computation, and what a run tells of it.
@Suite("Training step", .enabled(if: stepDevice != nil), .serialized)
struct TrainingStepTests {
  /// Trained with all its defences, the digits network takes the launches of the bare computation
  /// and two more: bytes become numbers, and the step's report is kept.
  @Test func launchesOfTheDigitsNetwork() throws {
    let device = Device(try #require(stepDevice))
    func launches(batch: Int) throws -> Int {
      let model = try Model(
        .digitsCNN(classes: 10), input: [28, 28, 1], device: device, seed: 1)
      let trainer = try model.compile(
        optimizer: .adam(), loss: .softmaxCrossEntropy(), clipGlobalNorm: 1)
      trainer.progressInterval = .seconds(60)
      let watcher = Watcher()
      var seen: [Int] = []
      watcher.onStep = { _ in seen.append(device.counters.launches) }
      let data = try SyntheticDigits.dataset(.train, count: 4 * batch)
      try trainer.fit(data, epochs: 1, batchSize: batch, callbacks: [watcher])
      return seen[3] - seen[2]
    }
    #expect(try launches(batch: 32) == 22)
    #expect(try launches(batch: 128) == 22)
    #expect(try launches(batch: 512) == 23)
  }

  /// `run.json` says how many steps were repeated, and why the others were not.
  @Test func aRunSaysWhatWasCaptured() throws {
    let device = Device(try #require(stepDevice))
    try withFolder { folder in
      func description(_ device: Device, captures: Bool, _ name: String) throws -> RunDescription {
        let model = try Model(
          Models.mlp(hidden: [8], classes: 4), input: [8, 8, 1], device: device, seed: 7)
        let trainer = try model.compile(optimizer: .adam(), loss: .softmaxCrossEntropy())
        trainer.capturesSteps = captures
        let run = try RunFolder(new: "\(folder)/\(name)")
        let result = try trainer.fit(
          TestData.columns(48), epochs: 1, batchSize: 8, output: run)
        #expect(try run.description().capture == result.capture)
        #expect(try run.flight().run.capture == result.capture)
        return try run.description()
      }
      let captured = try description(device, captures: true, "captured").capture
      #expect(captured?.replays == 4)
      #expect(captured?.declined == nil)
      let plain = try description(device, captures: false, "plain").capture
      #expect(plain?.replays == 0 && plain?.declined == "it is switched off")
      let host = try description(.cpu, captures: true, "cpu").capture
      #expect(host?.replays == 0 && host?.declined == "cpu repeats nothing")
      // A file from before it was recorded.
      let run = try RunFolder(existing: folder + "/captured")
      var older = String(decoding: try DataFile.read(run.descriptionPath), as: UTF8.self)
      let start = try #require(older.firstRange(of: "\"capture\" : {")).lowerBound
      let end = try #require(older[start...].firstRange(of: "},")).upperBound
      older.removeSubrange(start..<end)
      try DataFile.write(Array(older.utf8), to: run.descriptionPath)
      #expect(try run.description().capture == nil)
    }
  }
}
