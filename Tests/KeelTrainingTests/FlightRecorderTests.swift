import FoundationEssentials
import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining
import Testing

/// The record of the last steps, and the page that is made of what a run left.
@Suite struct FlightRecorderTests {
  private static func trainer(_ device: Device, _ stability: Stability) throws -> Trainer {
    try Model(.mlp(hidden: [12], classes: 4), input: [8, 8, 1], device: device, seed: 7).compile(
      optimizer: .adam(), loss: .softmaxCrossEntropy(), stability: stability)
  }

  @Test(arguments: TestDevices.all)
  func theLastStepsAreThoseOfTheHistory(_ device: Device) throws {
    try withFolder { folder in
      let data = try TestData.columns(40)
      let trainer = try Self.trainer(device, Stability(clip: [.globalNorm(0.5)]))
      var output = try RunFolder(new: folder + "/run")
      output.flightSteps = 7
      try trainer.fit(
        data, epochs: 4, batchSize: 8, gradientAccumulation: 2, seed: 11, output: output)
      let flight = try output.flight()
      #expect(flight.state == .complete)
      #expect(flight.seeds.model == 7 && flight.seeds.order == 11)
      #expect(flight.parameters == trainer.model.parameters.map(\.name))
      let steps = trainer.history.steps
      #expect(steps.count == 12)
      #expect(flight.steps.map(\.step) == Array(6...12))
      for (step, record) in zip(flight.steps, steps.suffix(7)) {
        #expect(step.loss == record.loss && step.gradientNorm == record.gradientNorm)
        #expect(step.clippedNorm == record.clippedNorm && step.outcome == record.outcome)
        #expect(step.norms == trainer.history.gradients.norms[Int(step.step) - 1])
      }
      // Five batches an epoch, two a step: the third step has one.
      #expect(flight.steps.suffix(3).map(\.batches) == [[0, 1], [2, 3], [4]])
      #expect(flight.steps.suffix(3).map(\.passes) == [[15, 16], [17, 18], [19]])
    }
  }

  @Test func recordingChangesNothingAndCanBeTurnedOff() throws {
    try withFolder { folder in
      let data = try TestData.columns(40)
      var weights: [[[UInt32]]] = []
      for count in [0, 64] {
        var output = try RunFolder(new: "\(folder)/\(count)")
        output.flightSteps = count
        let trainer = try Self.trainer(.cpu, Stability())
        try trainer.fit(data, epochs: 2, batchSize: 8, output: output)
        #expect(DataFile.exists(output.flightPath) == (count > 0))
        weights.append(try TestData.bits(trainer.model))
      }
      #expect(weights[0] == weights[1])
    }
  }

  @Test(arguments: TestDevices.all)
  func aFailedRunLeavesItsPostMortem(_ device: Device) throws {
    try withFolder { folder in
      let path = folder + "/run"
      let trainer = try Self.trainer(device, Stability(onFault: .raise))
      let text = sentence {
        try trainer.fit(
          FaultData.poisoned(), epochs: 3, batchSize: 8, output: RunFolder(new: path))
      }
      #expect(text.contains("training stopped at step"))
      // Nothing was saved, and the record stays.
      #expect(!DataFile.exists(path + "/run.json") && DataFile.exists(path + "/flight.json"))
      let evidence = try RunEvidence(of: path)
      let flight = try #require(evidence.flight)
      guard case .failed(let why) = flight.state else {
        Issue.record("\(flight.state)")
        return
      }
      #expect(why == text)
      let fault = try #require(flight.faults.last)
      #expect(fault.response == .stopped)
      #expect(fault.cause?.source == .inputBatch(example: fault.cause == nil ? 0 : 5))
      #expect(flight.steps.last?.step == fault.step)
      #expect(flight.steps.last?.loss.isNaN == true)
      #expect(evidence.history.steps.count == flight.steps.count)
      let html = Report(evidence).html
      #expect(html.contains("the training ended at step \(fault.step)"))
      #expect(html.contains("example 5") && html.contains("The last steps"))
      #expect(sentence { _ = try RunFolder(new: path) }.contains("a run that saved nothing"))
    }
  }

  @Test func stepsThatWereGoneBackFromAreRecorded() throws {
    try withFolder { folder in
      let path = folder + "/run"
      let trainer = try Self.trainer(
        .cpu, Stability(onFault: .rewind, rewind: RewindPlan(interval: 3)))
      try trainer.fit(FaultData.poisoned(), epochs: 1, batchSize: 8, output: RunFolder(new: path))
      let flight = try RunFolder(existing: path).flight()
      let outcomes = flight.steps.map(\.outcome)
      #expect(outcomes.count { if case .rewound = $0 { true } else { false } } == 1)
      #expect(flight.faults.count == 1)
      #expect(flight.steps.count > trainer.history.steps.count)
      // What is left after the saved history is lost: the steps that were not gone back from.
      try FileManager.default.removeItem(atPath: path + "/history.json")
      let evidence = try RunEvidence(of: path)
      #expect(evidence.history.steps == trainer.history.steps)
    }
  }

  @Test func whatARunLeftIsJoined() throws {
    try withFolder { folder in
      let path = folder + "/run"
      let data = try TestData.columns(40)
      let trainer = try Self.trainer(.cpu, Stability())
      let run = try RunFolder(new: path)
      try trainer.fit(data, epochs: 1, batchSize: 8, output: run)
      let saved = try DataFile.read(run.stepsPath)
      try trainer.fit(data, epochs: 1, batchSize: 8, output: run)
      // As if the process had been killed before it saved the second epoch.
      try DataFile.write(saved, to: run.stepsPath)
      #expect(try run.history().steps.count == 5)
      let evidence = try RunEvidence(of: path)
      #expect(evidence.history.steps == trainer.history.steps)
      #expect(evidence.history.gradients.steps == trainer.history.gradients.steps)
      // Damage is named, and the rest is shown.
      try DataFile.write(Array("{\"version\":".utf8), to: run.flightPath)
      let rest = try RunEvidence(of: path)
      #expect(rest.problems.count == 1 && rest.problems[0].contains("flight.json"))
      #expect(rest.history.steps.count == 5)
      #expect(Report(rest).html.contains("flight.json"))
      #expect(sentence { _ = try RunEvidence(of: folder) }.contains("holds no run"))
    }
  }
}

/// Data with one value that is not finite.
enum FaultData {
  static func poisoned() throws -> Dataset {
    let data = try TestData.columns(64)
    var numbers: [Float] = []
    for example in 0..<64 {
      guard case .bytes(let bytes) = data.example(at: example) else { continue }
      numbers += bytes.map { Float($0) / 255 }
    }
    numbers[37 * 64 + 20] = .nan
    return try Dataset(
      features: numbers, extents: [8, 8, 1], labels: data.labels, classCount: 4)
  }
}
