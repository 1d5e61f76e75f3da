import Glibc
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

@Suite struct ShrinkAndPerturbTests {
  private func moments(_ values: [Float]) -> (mean: Double, deviation: Double) {
    let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count)
    let squares = values.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    return (mean, (squares / Double(values.count)).squareRoot())
  }

  /// 120 000 weights that start at 1; 5 standard errors.
  @Test(arguments: TestDevices.all) func momentsAreTheClosedForm(_ device: Device) throws {
    let model = try Model(
      Dense(300, initializer: .ones), input: [400], device: device, seed: 6)
    for lambda in [0.1, 0.7, -0.5] as [Float] {
      try model.initialize(.ones)
      let chain = try ShrinkAndPerturb.article(learningRate: lambda)
      let (l, a) = (Double(lambda), 0.1)
      for k in 1...4 {
        try chain.apply(to: model, step: UInt64(k))
        let found = moments(try model.weights(named: "weight"))
        let mean = pow(l, Double(k)) + a / 2 * (1 - pow(l, Double(k))) / (1 - l)
        let variance = a * a / 12 * (1 - pow(l, Double(2 * k))) / (1 - l * l)
        #expect(abs(found.mean - mean) < 5 * variance.squareRoot() / 120_000.0.squareRoot())
        #expect(abs(found.deviation / variance.squareRoot() - 1) < 0.01)
      }
    }
    // The chain's end for 0.1: 0.0556 and 0.0290.
    try model.initialize(.ones)
    try ShrinkAndPerturb.article(learningRate: 0.1).initialize(model, times: 10)
    let end = moments(try model.weights(named: "weight"))
    #expect(abs(end.mean - 0.0556) < 5e-4 && abs(end.deviation - 0.0290) < 3e-4)
  }

  @Test(arguments: TestDevices.all)
  func recommendedKeepsTheVarianceOfTheInitializer(_ device: Device) throws {
    for initializer in [Initializer.heNormal, .glorotUniform, .zeros] {
      let model = try Model(
        Dense(300, initializer: initializer), input: [400], device: device, seed: 6)
      try ShrinkAndPerturb.recommended(shrink: 0.6).initialize(model, times: 12)
      let found = moments(try model.weights(named: "weight"))
      let wanted = initializer == .heNormal ? (2.0 / 400).squareRoot() : (2.0 / 700).squareRoot()
      #expect(abs(found.mean) < 5 * wanted / 120_000.0.squareRoot())
      #expect(abs(found.deviation / wanted - 1) < 0.01)
    }
  }

  @Test func sameBitsOnEveryDevice() throws {
    let bits = try TestDevices.all.map { device in
      let model = try Model(
        Models.mlp(hidden: [70], classes: 9), input: [30], device: device, seed: 6)
      try ShrinkAndPerturb.recommended(shrink: 0.3).initialize(model, times: 2)
      try ShrinkAndPerturb.article(learningRate: 0.7).apply(to: model, step: 41)
      return try model.parameters.map { try model.weights(named: $0.name).map(\.bitPattern) }
    }
    for other in bits.dropFirst() { #expect(other == bits[0]) }
  }

  /// Noise depends on the step alone: who resumes at a step gets what the other had.
  @Test(arguments: TestDevices.all) func noiseIsKeyedByTheStep(_ device: Device) throws {
    func model() throws -> Model {
      try Model(
        Sequential {
          Dense(9)
          Dense(9)
        }, input: [9], device: device, seed: 6)
    }
    func weights(_ model: Model) throws -> [[Float]] {
      try model.parameters.map { try model.weights(named: $0.name) }
    }
    let chain = try ShrinkAndPerturb.recommended(shrink: 0.5, every: 3)
    let whole = try model()
    var applied: [UInt64] = []
    for step in 0..<9 as Range<UInt64> where try chain.apply(to: whole, step: step) {
      applied.append(step)
    }
    #expect(applied == [2, 5, 8])
    let parts = try model()
    for step in 0..<4 as Range<UInt64> { try chain.apply(to: parts, step: step) }
    let resumed = try model()
    for parameter in parts.parameters {
      try resumed.setWeights(parts.weights(named: parameter.name), named: parameter.name)
    }
    for step in 4..<9 as Range<UInt64> { try chain.apply(to: resumed, step: step) }
    #expect(try weights(resumed) == weights(whole))
    // Every step, tensor and phase has noise of its own.
    let fresh = try ShrinkAndPerturb(
      shrink: 0, noise: .fixed(amplitude: 1, low: 0, high: 1))
    var seen: Set<[Float]> = []
    let other = try model()
    for step in 0..<2 as Range<UInt64> {
      try fresh.apply(to: other, step: step)
      for name in ["dense1.weight", "dense2.weight"] {
        #expect(seen.insert(try other.weights(named: name)).inserted)
      }
    }
    try fresh.initialize(other)
    #expect(seen.insert(try other.weights(named: "dense1.weight")).inserted)
  }

  @Test(arguments: TestDevices.all)
  func biasesNormsAndFrozenWeightsKeepEveryBit(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Conv2D(3, kernel: 2)
        BatchNorm()
        ReZero(Dense(3))
        Flatten()
        Dense(4)
        LayerNorm()
        Dense(2)
      }, input: [4, 4, 1], device: device, seed: 6)
    try model.freeze("dense2")
    let before = try model.parameters.map { try model.weights(named: $0.name) }
    try ShrinkAndPerturb.article(learningRate: 0.5).apply(to: model, step: 0)
    let changing = ["conv1.weight", "rezero1.branch.weight", "dense1.weight"]
    for (number, parameter) in model.parameters.enumerated() {
      let after = try model.weights(named: parameter.name)
      if changing.contains(parameter.name) {
        #expect(zip(after, before[number]).allSatisfy { $0 != $1 })
      } else {
        #expect(after.map(\.bitPattern) == before[number].map(\.bitPattern))
      }
    }
    let flat: [Float] = try device.backend.scalars(model.arena.parameters)
    let inside = model.parameters.reduce(0) { $0 + $1.shape.count }
    #expect(flat.count { $0 != 0 } <= inside, "what lies between parameters stays 0")
  }

  /// What is wrong with the article's form, and right with the other.
  @Test(arguments: TestDevices.all)
  func articleModeExplodesADeepReluStack(_ device: Device) throws {
    func run(_ chain: ShrinkAndPerturb) throws -> (isPositive: Bool, growth: Double) {
      let model = try Model(
        Sequential {
          for _ in 0..<20 {
            Dense(64, activation: .relu, usesBias: false, initializer: .heNormal)
          }
        }, input: [64], device: device, seed: 6)
      try chain.initialize(model, times: 6)
      let x = try Tensor.random(
        .uniform(low: 0, high: 1), shape: [8, 64], key: RandomKey(seed: 1, .user), on: device)
      func rms(_ x: Tensor) throws -> Double { Double(try (x * x).mean().item()).squareRoot() }
      let isPositive = try model.parameters.allSatisfy {
        try model.weights(named: $0.name).allSatisfy { $0 > 0 }
      }
      return (isPositive, try rms(model(x)) / rms(x))
    }
    let article = try run(.article(learningRate: 0.1))
    #expect(article.isPositive)
    // (0.0556 * 64)^20 = 1e11.
    let expected = pow(0.0556 * 64, 20)
    #expect(article.growth > expected / 3 && article.growth < expected * 3, "\(article)")
    let recommended = try run(.recommended(shrink: 0.1))
    #expect(!recommended.isPositive)
    #expect(recommended.growth < 10 && recommended.growth > 0.01, "\(recommended)")
  }

  @Test func optionsAreChecked() throws {
    for lambda in [1, -1, 2, .nan, .infinity] as [Float] {
      let errors = [
        sentence { _ = try ShrinkAndPerturb.article(learningRate: lambda) },
        sentence { _ = try ShrinkAndPerturb.recommended(shrink: lambda) },
      ]
      for error in errors { #expect(error.contains("a shrink factor of magnitude below 1")) }
    }
    #expect(
      sentence { _ = try ShrinkAndPerturb.recommended(shrink: 0.5, every: 0) }.contains("step"))
    for (amplitude, low, high) in [(.nan, 0, 1), (1, 1, 0), (.infinity, 0, 1), (1, .nan, 1)]
      as [(Float, Float, Float)]
    {
      let error = sentence {
        _ = try ShrinkAndPerturb(
          shrink: 0.5, noise: .fixed(amplitude: amplitude, low: low, high: high))
      }
      #expect(error.contains("low <= high"))
    }
    let model = try Model(Dense(2), input: [2], device: .cpu)
    let chain = try ShrinkAndPerturb.recommended(shrink: 0.5)
    #expect(sentence { try chain.initialize(model, times: -1) }.contains("a count of at least 0"))
  }
}
