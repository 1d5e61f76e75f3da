import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// A small network with given gradients: what tests of the step put in.
struct NetworkBench {
  let model: Model
  let device: Device

  init(_ device: Device, seed: UInt64 = 21) throws {
    self.device = device
    let network = Sequential {
      Dense(6, activation: .tanh)
      Dense(5, activation: .tanh)
      Dense(3)
    }
    model = try Model(network, input: [4], device: device, seed: seed)
  }

  /// Puts numbers that depend on `round` into all gradients.
  func fillGradients(_ round: Int = 0, scale: Float = 1) throws {
    for parameter in model.parameters {
      var random = RandomSequence(
        RandomKey(seed: UInt64(round), .user, index: parameter.index))
      try setGradient(
        parameter.name,
        (0..<parameter.shape.count).map { _ in
          scale * (random.nextUniform() - 0.5)
        })
    }
  }

  func setGradient(_ name: String, _ values: [Float]) throws {
    let parameter = try #require(model.parameters.first { $0.name == name })
    let place = try #require(parameter.place)
    try device.backend.upload(values, to: place.gradient)
  }

  func gradient(_ name: String) throws -> [Float] {
    let parameter = try #require(model.parameters.first { $0.name == name })
    return try #require(parameter.gradient).scalars()
  }

  func gradients() throws -> [[Float]] {
    try model.parameters.map { try gradient($0.name) }
  }

  func bits() throws -> [[UInt32]] {
    try model.parameters.map { try model.weights(named: $0.name).map(\.bitPattern) }
  }

  static func bits(_ arrays: [NDArray], _ device: Device) throws -> [[UInt32]] {
    try arrays.map { array in
      let values: [Float] = try device.backend.scalars(array)
      return values.map(\.bitPattern)
    }
  }
}

/// The step: what is left out, what is clipped, in which order.
@Suite struct StepTests {
  private static let everything = Stability(
    clip: [.elementwise(0.4), .zClip(warmUp: 2)], noise: .uniform(amplitude: 0.01))

  @Test(arguments: TestDevices.all)
  func aSkippedStepChangesNothingAndIsNamed(_ device: Device) throws {
    let (poisoned, clean) = (try NetworkBench(device), try NetworkBench(device))
    let schedule = Schedule.cosine(updates: 10)
    let updaters = try [poisoned, clean].map {
      try Updater(.adam(), for: $0.model, schedule: schedule, stability: Self.everything)
    }
    for round in 0..<3 {
      for (bench, updater) in zip([poisoned, clean], updaters) {
        try bench.fillGradients(round)
        try updater.update()
      }
    }
    let (before, pipeline) = (try poisoned.bits(), updaters[0].pipeline)
    let states = pipeline.moments + pipeline.clipStates.compactMap { $0 }
    let stateBits = try NetworkBench.bits(states, device)
    try poisoned.fillGradients(9)
    try poisoned.setGradient("dense2.bias", [1, .nan, 2, .infinity, 3])
    try updaters[0].update()
    let report = try updaters[0].report()
    #expect(report.outcome == .skipped(.gradient(tensors: ["dense2.bias"])))
    #expect(report.faults == 2)
    #expect(try poisoned.bits() == before)
    #expect(try NetworkBench.bits(states, device) == stateBits)
    #expect(try updaters[0].updates() == 3 && updaters[0].skips() == 1)
    #expect(updaters[0].step == 4)
    // The next clean step is that of a run which never saw the bad one.
    for (bench, updater) in zip([poisoned, clean], updaters) {
      try bench.fillGradients(3)
      try updater.update()
    }
    #expect(try poisoned.bits() == clean.bits())
    #expect(try updaters[0].report().learningRate == updaters[1].report().learningRate)
  }

  @Test(arguments: TestDevices.all) func tooManySkipsHaltUntilResumed(_ device: Device) throws {
    let bench = try NetworkBench(device)
    let updater = try Updater(
      .sgd(learningRate: 0.1), for: bench.model, stability: Stability(maximumSkips: 2))
    func step(_ value: Float) throws -> StepOutcome {
      try bench.fillGradients()
      try bench.setGradient("dense3.bias", [value, 0, 0])
      try updater.update()
      return try updater.report().outcome
    }
    let fault = StepOutcome.skipped(.gradient(tensors: ["dense3.bias"]))
    #expect(try step(.nan) == fault && step(1) == .applied)
    for _ in 0..<3 { #expect(try step(-.infinity) == fault) }
    #expect(try updater.isHalted())
    let before = try bench.bits()
    #expect(try step(1) == .skipped(.halted))
    #expect(try bench.bits() == before)
    try updater.resume()
    #expect(try step(1) == .applied)
    #expect(try bench.bits() != before)
  }

  @Test(arguments: TestDevices.all) func aLossThatIsNotFiniteSkipsTheStep(_ device: Device) throws {
    let bench = try NetworkBench(device)
    let updater = try Updater(.sgd(learningRate: 0.1), for: bench.model)
    let before = try bench.bits()
    try bench.fillGradients()
    try updater.update(loss: try Tensor(.nan, on: device))
    #expect(try updater.report().outcome == .skipped(.loss))
    #expect(try bench.bits() == before)
    try updater.update(loss: try Tensor(1, on: device))
    #expect(try bench.bits() != before)
  }

  @Test(arguments: TestDevices.all) func repairsReplaceWhatIsNotFinite(_ device: Device) throws {
    for (policy, expected) in [
      (FaultPolicy.zero, [0, 0, 0.5] as [Float]),
      (.clipFinite, [0, -.greatestFiniteMagnitude, 0.5]),
    ] {
      let bench = try NetworkBench(device)
      let updater = try Updater(
        .sgd(learningRate: 1e-30), for: bench.model, stability: Stability(onFault: policy))
      try bench.fillGradients()
      let others = try bench.gradient("dense1.weight")
      try bench.setGradient("dense3.bias", [.nan, -.infinity, 0.5])
      try updater.update()
      #expect(try updater.report().outcome == .repaired(tensors: ["dense3.bias"]))
      #expect(try bench.gradient("dense3.bias") == expected)
      #expect(try bench.gradient("dense1.weight") == others)
      #expect(try updater.updates() == 1)
    }
  }

  @Test(arguments: TestDevices.all) func stagesFollowEachOther(_ device: Device) throws {
    for chain in [
      [.elementwise(0.25), .globalNorm(0.7)], [.globalNorm(0.7)],
      [.perTensorNorm(0.4), .globalMaxAbs(0.05)], [.globalNorm(0.7), .elementwise(0.05)],
    ] as [ClipChain] {
      let bench = try NetworkBench(device)
      try bench.fillGradients()
      let weights = try bench.model.parameters.map { try bench.model.weights(named: $0.name) }
      var expected = try bench.gradients().map { $0.map(Double.init) }
      for stage in chain.stages { expected = Self.clipped(expected, stage) }
      let updater = try Updater(
        .sgd(learningRate: 1), for: bench.model, stability: Stability(clip: chain))
      try updater.update()
      for (number, parameter) in bench.model.parameters.enumerated() {
        let after = try bench.model.weights(named: parameter.name)
        for i in after.indices {
          let step = Double(weights[number][i]) - Double(after[i])
          #expect(abs(step - expected[number][i]) < 2e-7)
        }
      }
      let report = try updater.report()
      let norm = expected.joined().reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(Double(report.clippedNorm) / norm - 1) < 1e-5)
      guard case .clipped(let factor) = report.outcome else {
        Issue.record("\(report.outcome)")
        continue
      }
      #expect(factor < 1 && factor > 0)
    }
  }

  private static func clipped(_ gradients: [[Double]], _ stage: ClipStage) -> [[Double]] {
    func norm(_ values: some Sequence<Double>) -> Double {
      values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    switch stage {
    case .elementwise(let limit):
      let limit = Double(limit)
      return gradients.map { $0.map { max(-limit, min(limit, $0)) } }
    case .globalNorm(let limit):
      let factor = min(1, Double(limit) / norm(gradients.joined()))
      return gradients.map { $0.map { $0 * factor } }
    case .globalMaxAbs(let limit):
      let largest = gradients.joined().map(abs).max() ?? 0
      let factor = min(1, Double(limit) / largest)
      return gradients.map { $0.map { $0 * factor } }
    case .perTensorNorm(let limit):
      return gradients.map { tensor in
        let factor = min(1, Double(limit) / norm(tensor))
        return tensor.map { $0 * factor }
      }
    default: return gradients
    }
  }

  @Test(arguments: TestDevices.all) func aLossScaleIsUndoneToTheBit(_ device: Device) throws {
    let (plain, scaled) = (try NetworkBench(device), try NetworkBench(device))
    try plain.fillGradients()
    try scaled.fillGradients(scale: 1024)
    try Updater(.adam(), for: plain.model, clipGlobalNorm: 0.5).update()
    try Updater(
      .adam(), for: scaled.model, stability: Stability(clip: [.globalNorm(0.5)], lossScale: 1024)
    ).update()
    #expect(try plain.bits() == scaled.bits())
  }

  @Test(arguments: TestDevices.all)
  func coordinateDescentLeavesTheOtherTensorsAlone(_ device: Device) throws {
    let (bench, whole) = (try NetworkBench(device), try NetworkBench(device))
    let updater = try Updater(
      .sgd(learningRate: 0.1, momentum: 0.9), for: bench.model,
      stability: Stability(coordinates: .cyclic))
    let wholeUpdater = try Updater(.sgd(learningRate: 0.1, momentum: 0.9), for: whole.model)
    try whole.fillGradients()
    try wholeUpdater.update()
    for number in bench.model.parameters.indices {
      let before = try bench.bits()
      try bench.fillGradients()
      try updater.update()
      let after = try bench.bits()
      for other in bench.model.parameters.indices where other != number {
        #expect(after[other] == before[other])
      }
      // The tensor whose turn it is takes the step of plain descent.
      #expect(try after[number] == whole.bits()[number])
    }
  }

  @Test(arguments: TestDevices.all) func schedulesSetTheRateOfEachUpdate(_ device: Device) throws {
    let bench = try NetworkBench(device)
    let schedule = Schedule.linear(updates: 4)
    let updater = try Updater(.sgd(learningRate: 0.8), for: bench.model, schedule: schedule)
    var rates: [Float] = []
    for step in 0..<5 {
      try bench.fillGradients()
      if step == 2 { try bench.setGradient("dense3.bias", [.nan, 0, 0]) }
      try updater.update()
      rates.append(try updater.report().learningRate)
    }
    #expect(rates == [0.8, 0.6, 0.4, 0.4, 0.2].map { Float($0) })
    updater.learningRate = 8
    try bench.fillGradients()
    try updater.update()
    #expect(try updater.report().learningRate == 0)
    #expect(try updater.updates() == 5)
  }

  @Test(arguments: TestDevices.all) func stepsBeyondTheTableGoOn(_ device: Device) throws {
    let bench = try NetworkBench(device)
    let updater = try Updater(
      .sgd(learningRate: 1), for: bench.model,
      schedule: .step(every: 1000, factor: 0.5))
    try bench.fillGradients(scale: 1e-6)
    for _ in 0..<1030 { try updater.update() }
    #expect(try updater.updates() == 1030)
    #expect(try updater.report().learningRate == 0.5)
  }
}
