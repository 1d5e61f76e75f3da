import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What penalties do to weights.
@Suite struct RegularizationTests {
  private static let plain = OptimizerRule.sgd(momentum: 0, dampening: 0, nesterov: false)

  /// Minimises |w - c|^2 / 2 + l1 |w|, whose solution is c moved towards 0 by l1.
  private func lasso(_ device: Device, _ c: [Float], _ l1: Float, proximal: Bool) throws -> [Float]
  {
    var bench = try ArenaBench(device, RegularizationTests.plain, c.map { $0 + 0.37 })
    for _ in 0..<60 {
      let w = try bench.values()
      try bench.setGradient(zip(w, c).map { $0 - $1 })
      try bench.decide([.learningRate: 0.3])
      if !proximal {
        try bench.backend.addPenaltyGradient(
          to: bench.gradients, parameters: bench.parameters, scales: bench.scales, l1: l1, l2: 0)
      }
      try bench.takeStep()
      if proximal {
        try bench.backend.shrinkParameters(
          bench.parameters, scales: bench.scales, l1: l1, decision: bench.decision)
      }
    }
    return try bench.values()
  }

  @Test(arguments: TestDevices.all)
  func onlyTheProximalFormGivesExactZeros(_ device: Device) throws {
    let c = numbers(100)
    let exact = c.map { $0 > 0.5 ? $0 - 0.5 : $0 < -0.5 ? $0 + 0.5 : 0 }
    let proximal = try lasso(device, c, 0.5, proximal: true)
    let subgradient = try lasso(device, c, 0.5, proximal: false)
    #expect(exact.contains(0))
    for i in c.indices {
      #expect(abs(proximal[i] - exact[i]) < 1e-5)
      #expect((proximal[i] == 0) == (exact[i] == 0))
      // It only circles 0, within rate * l1.
      #expect(abs(subgradient[i] - exact[i]) < 0.31)
      if exact[i] == 0 { #expect(subgradient[i] != 0) }
    }
  }

  @Test(arguments: TestDevices.all)
  func theSubgradientIsTheSlopeAwayFromZero(_ device: Device) throws {
    let (l1, l2) = (Float(0.3), Float(0.7))
    let w = numbers(200).filter { abs($0) > 1e-2 } + [0]
    let bench = try ArenaBench(device, RegularizationTests.plain, w)
    try bench.backend.addPenaltyGradient(
      to: bench.gradients, parameters: bench.parameters, scales: bench.scales, l1: l1, l2: l2)
    let g = try bench.backend.scalars(bench.gradients, as: Float.self)
    func penalty(_ w: Double) -> Double { Double(l1) * abs(w) + Double(l2) / 2 * w * w }
    for i in w.indices.dropLast() {
      let slope = (penalty(Double(w[i]) + 1e-4) - penalty(Double(w[i]) - 1e-4)) / 2e-4
      #expect(abs(Double(g[i]) - slope) < 1e-5)
    }
    #expect(g[w.count - 1] == 0)
  }

  // MARK: On a model

  private func model(_ device: Device) throws -> Model {
    let network = Sequential {
      Dense(6, activation: .tanh)
      Dense(3)
    }
    let model = try Model(network, input: [4], device: device, seed: 21)
    try model.setWeights([1, -1, 0.5], named: "dense2.bias")
    return model
  }

  /// Three updates; `change` is called between the backward pass and the update.
  private func train(
    _ device: Device, _ optimizer: Optimizer, lossPenalty: Float = 0,
    change: (Model) throws -> Void = { _ in }
  ) throws -> [[UInt32]] {
    let model = try model(device)
    let updater = try Updater(optimizer, for: model)
    let x = try Tensor(numbers(32), shape: [8, 4], on: device)
    let labels = try Tensor((0..<8).map { Int32($0 % 3) }, shape: [8], on: device)
    for _ in 0..<3 {
      _ = try model.valueAndGradient { (pass) throws(TensorError) in
        let loss = try Loss.softmaxCrossEntropy()(model(x, pass), labels)
        guard lossPenalty != 0 else { return loss }
        var squares = loss
        for parameter in model.parameters where parameter.decays {
          guard let w = parameter.place?.tracked else { continue }
          squares = try squares + (w * w).sum() * (lossPenalty / 2)
        }
        return squares
      }
      try change(model)
      try updater.update()
    }
    return try model.parameters.map { bits(try model.weights(named: $0.name)) }
  }

  private func penalize(_ model: Model, l1: Float = 0, l2: Float = 0) throws {
    try model.device.backend.addPenaltyGradient(
      to: model.arena.gradients, parameters: model.arena.parameters, scales: model.arena.scales,
      l1: l1, l2: l2)
  }

  /// L2 in the loss is coupled decay for plain descent, to the bit; AdamW is something else.
  @Test(arguments: TestDevices.all) func l2IsCoupledDecayAndNotAdamW(_ device: Device) throws {
    let decay: Float = 0.125
    let coupled = try train(device, .sgd(learningRate: 0.1, weightDecay: decay))
    let penalized = try train(device, .sgd(learningRate: 0.1)) { try penalize($0, l2: decay) }
    #expect(coupled == penalized)
    #expect(try coupled != train(device, .sgd(learningRate: 0.1)))
    let adam = try train(device, .adam(learningRate: 0.1)) { try penalize($0, l2: decay) }
    #expect(try adam == train(device, .adam(learningRate: 0.1, weightDecay: decay)))
    #expect(try adam[0] != train(device, .adamW(learningRate: 0.1, weightDecay: decay))[0])
    // The same term written into the loss: equal but for the order of one sum.
    let written = try train(device, .sgd(learningRate: 0.1), lossPenalty: decay)
    for (left, right) in zip(written, coupled) {
      for (one, two) in zip(left, right) {
        let distance = abs(Float(bitPattern: one) - Float(bitPattern: two))
        #expect(distance <= 4e-7)
      }
    }
  }

  @Test(arguments: TestDevices.all)
  func biasesAndFrozenParametersAreLeftAlone(_ device: Device) throws {
    let model = try model(device)
    try model.freeze("dense1.weight")
    let before = try model.parameters.map { try model.weights(named: $0.name) }
    let backend = device.backend
    let decision = try backend.array(
      DecisionField.allCases.map { $0 == .applies || $0 == .learningRate ? 1 : 0 } as [Float],
      shape: [DecisionField.count])
    try backend.fill(model.arena.gradients, with: 0)
    try penalize(model, l1: 0.01, l2: 0.1)
    let g = try model.parameters.map { try $0.gradient?.scalars() ?? [] }
    for number in [0, 1, 3] { #expect(g[number].allSatisfy { $0 == 0 }) }
    for (i, w) in before[2].enumerated() {
      #expect(abs(g[2][i] - (w > 0 ? 0.01 : -0.01) - 0.1 * w) < 1e-6)
    }
    try backend.shrinkParameters(
      model.arena.parameters, scales: model.arena.scales, l1: 0.01, decision: decision)
    let after = try model.parameters.map { try model.weights(named: $0.name) }
    for number in [0, 1, 3] { #expect(after[number] == before[number]) }
    for (i, w) in before[2].enumerated() {
      #expect(abs(after[2][i] - (w > 0.01 ? w - 0.01 : w < -0.01 ? w + 0.01 : 0)) < 1e-7)
    }
  }
}
