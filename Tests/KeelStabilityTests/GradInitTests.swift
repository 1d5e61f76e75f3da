import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

@Suite struct GradInitTests {
  /// Deep and not normalised: too large by a factor at every layer.
  private func model(_ device: Device, gain: Float = 4) throws -> Model {
    let initializer = Initializer.varianceScaling(
      scale: gain, mode: .fanIn, distribution: .normal)
    return try Model(
      Sequential {
        for _ in 0..<5 { Dense(12, activation: .relu, initializer: initializer) }
        Dense(3, initializer: initializer)
      }, input: [6], device: device, seed: 8)
  }

  private func batch(_ device: Device) throws -> (Tensor, Tensor) {
    let key = RandomKey(seed: 4, .user)
    let numbers = RandomDistribution.normal(mean: 0, deviation: 1).values(24 * 6, key: key)
    return (
      try Tensor(numbers, shape: [24, 6], on: device),
      try Tensor((0..<24).map { Int32($0 % 3) }, shape: [24], on: device)
    )
  }

  private func weights(_ model: Model) throws -> [[Float]] {
    try model.parameters.map { try model.weights(named: $0.name) }
  }

  /// Measured apart from the search: the gradient's norm, and the loss after a real step.
  private func measure(
    _ model: Model, _ x: Tensor, _ labels: Tensor, rate: Float, isSign: Bool = false
  ) throws -> (norm: Double, loss: Double) {
    let kept = try weights(model)
    defer {
      for (parameter, values) in zip(model.parameters, kept) {
        try? model.setWeights(values, named: parameter.name)
      }
    }
    let loss = Loss.softmaxCrossEntropy()
    _ = try model.valueAndGradient { (pass) throws(TensorError) in
      try loss(model(x, pass), labels)
    }
    let slopes = try model.parameters.map { try #require($0.gradient).scalars() }
    let norm = slopes.joined().reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    for (number, parameter) in model.parameters.enumerated() {
      let moved = zip(kept[number], slopes[number]).map { weight, slope in
        weight - rate * (isSign ? (slope > 0 ? 1 : slope < 0 ? -1 : 0) : slope)
      }
      try model.setWeights(moved, named: parameter.name)
    }
    return (norm, Double(try loss(model(x), labels).item()))
  }

  @Test(arguments: TestDevices.all)
  func theStepIsNoWorseAndTheGradientBounded(_ device: Device) throws {
    for (step, rate) in [(GradInit.Step.gradient, 0.1 as Float), (.sign, 0.01)] {
      let model = try model(device)
      let (x, labels) = try batch(device)
      let plain = try measure(model, x, labels, rate: rate, isSign: step == .sign)
      let options = GradInit(
        learningRate: rate, step: step, gamma: 1, iterations: device == .cpu ? 40 : 25)
      let report = try model.initializeGradInit(
        on: x, labels, loss: .softmaxCrossEntropy(), options)
      let found = try measure(model, x, labels, rate: rate, isSign: step == .sign)
      #expect(plain.norm > 2, "the start is too large: \(plain)")
      #expect(found.norm <= 1 * (1 + 1e-3), "\(found)")
      #expect(found.loss <= plain.loss && found.loss < 1.2, "\(plain), \(found)")
      #expect(abs(report.before.loss - plain.loss) < 1e-4 * max(1, plain.loss))
      #expect(abs(report.after.loss - found.loss) < 1e-4)
      #expect(abs(report.after.gradientNorm - found.norm) < 1e-4)
      #expect(report.scales.count == 6 && report.scales.values.allSatisfy { $0 >= 0.01 })
      #expect(report.scales.values.contains { $0 != 1 })
    }
  }

  /// Where the start is fine already it can only get better, and each weight is its old self times
  /// one number.
  @Test func scalesAreOneNumberPerTensor() throws {
    let model = try model(.cpu, gain: 2)
    try model.freeze("dense2")
    let (x, labels) = try batch(.cpu)
    let before = try weights(model)
    let report = try model.initializeGradInit(
      on: x, labels, loss: .softmaxCrossEntropy(), GradInit(learningRate: 0.1, gamma: 50))
    #expect(report.after.loss < report.before.loss)
    #expect(report.scales["dense2.weight"] == nil && report.scales["dense1.bias"] == nil)
    for (number, parameter) in model.parameters.enumerated() {
      let scale = report.scales[parameter.name] ?? 1
      let after = try model.weights(named: parameter.name)
      for i in after.indices {
        #expect(after[i] == Float(scale * Double(before[number][i])) || scale == 1)
      }
      if parameter.name == "dense2.weight" { #expect(after == before[number]) }
    }
  }

  /// A network that overflows is brought back.
  @Test func overflowsAreShrunk() throws {
    let model = try model(.cpu, gain: 1e13)
    let (x, labels) = try batch(.cpu)
    let report = try model.initializeGradInit(
      on: x, labels, loss: .softmaxCrossEntropy(),
      GradInit(learningRate: 0.1, gamma: 1, minimumScale: 1e-9, iterations: 120, rate: 0.3))
    #expect(!report.before.gradientNorm.isFinite || report.before.gradientNorm > 1e6)
    #expect(report.after.gradientNorm <= 1 && report.after.loss < 1.2)
  }

  @Test func whatCannotBeReachedChangesNothing() throws {
    let model = try Model(
      Sequential {
        Dense(4)
        BatchNorm()
        Dense(3, biasInitializer: .normal(mean: 0, deviation: 1))
      }, input: [6], device: .cpu, seed: 8)
    let (x, labels) = try batch(.cpu)
    func state() throws -> [[Float]] {
      try weights(model) + model.states.map { try model.weights(named: $0.name) }
    }
    let before = try state()
    func refusal(_ options: GradInit) -> String {
      sentence {
        try model.initializeGradInit(on: x, labels, loss: .softmaxCrossEntropy(), options)
      }
    }
    #expect(
      refusal(GradInit(learningRate: 0.1, gamma: 1e-9, iterations: 3)).contains("none in 3 tries"))
    #expect(refusal(GradInit(learningRate: 0)).contains("a finite learning rate above 0"))
    #expect(refusal(GradInit(learningRate: 1, gamma: .nan)).contains("a finite gamma above 0"))
    #expect(refusal(GradInit(learningRate: 1, minimumScale: 2)).contains("minimum scale"))
    #expect(refusal(GradInit(learningRate: 1, iterations: 0)).contains("one iteration"))
    #expect(refusal(GradInit(learningRate: 1, rate: -1)).contains("rate above 0"))
    #expect(try state() == before)
    // Running statistics are no part of the search.
    try model.initializeGradInit(
      on: x, labels, loss: .softmaxCrossEntropy(), GradInit(learningRate: 0.1, gamma: 100))
    let states = try model.states.map { try model.weights(named: $0.name) }
    #expect(Array(before.suffix(states.count)) == states)
  }
}
