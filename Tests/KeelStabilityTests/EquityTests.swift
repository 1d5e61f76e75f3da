import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What rescaling units does to function, gradients and state.
@Suite struct EquityTests {
  /// Networks whose units can be rescaled, with the shape of their inputs.
  static var networks: [(name: String, network: Sequential, input: Shape)] {
    [
      (
        "dense",
        Sequential {
          Dense(33, activation: .relu)
          Dropout(0.25)
          Dense(9, activation: .leakyRelu(slope: 0.25))
          Dense(7)
        }, [20]
      ),
      (
        "convolutions",
        Sequential {
          Conv2D(6, kernel: 3, activation: .relu)
          MaxPool2D(2)
          Conv2D(12, kernel: 3, padding: .same, groups: 3)
          LeakyRelu(slope: 0.5)
          Conv2D(12, kernel: 3, padding: .same, groups: 12, activation: .relu)
          AvgPool2D(2)
          Flatten()
          Dense(5, activation: .relu)
          Dense(4)
        }, [10, 10, 2]
      ),
      (
        "residual",
        Sequential {
          Dense(12, activation: .relu)
          ReZero(initialScale: 0.5) {
            Dense(20, activation: .relu)
            Dense(12)
          }
          Relu()
          ReZero(initialScale: 0.7) { Dense(12, activation: .leakyRelu(slope: 0.5)) }
          Dense(4)
        }, [9]
      ),
      (
        "joins",
        Sequential {
          Conv2D(4, kernel: 3, activation: .relu)
          Residual(activation: .relu) {
            Conv2D(6, kernel: 3, padding: .same, activation: .relu)
            Conv2D(4, kernel: 3, padding: .same)
          }
          Residual(activation: .leakyRelu(slope: 0.25)) {
            Conv2D(5, kernel: 3, padding: .same)
          } shortcut: {
            Conv2D(5, kernel: 1)
          }
          DenseConnection { Conv2D(3, kernel: 3, padding: .same, activation: .relu) }
          Conv2D(4, kernel: 1, activation: .relu)
          GroupNorm(2, activation: .relu)
          Flatten()
          Dense(6, activation: .relu)
          Dense(4)
        }, [6, 6, 2]
      ),
      (
        "normalised",
        Sequential {
          Conv2D(6, kernel: 3, usesBias: false)
          BatchNorm(activation: .relu)
          Conv2D(5, kernel: 3, activation: .relu)
          GlobalAvgPool2D()
          Dense(6)
          LayerNorm()
          Dense(3)
        }, [8, 8, 1]
      ),
    ]
  }

  private func model(_ number: Int, _ device: Device) throws -> Model {
    let model = try Model(
      EquityTests.networks[number].network, input: EquityTests.networks[number].input,
      device: device, seed: 5)
    // Biases, shifts and scales that are not 0 or 1, and weights that are far out of balance.
    for (place, parameter) in model.parameters.enumerated() {
      let values = try model.weights(named: parameter.name)
      let changed = values.enumerated().map { i, value in
        parameter.shape.rank == 1
          ? value + Float((i * 5 + place) % 7) * 0.07 - 0.2 : value * (place % 3 == 0 ? 90 : 0.03)
      }
      try model.setWeights(changed, named: parameter.name)
    }
    return model
  }

  private func inputs(_ model: Model, rows: Int = 6) throws -> Tensor {
    let count = rows * model.inputShape.count
    return try Tensor(
      (0..<count).map { (i: Int) -> Float in Float((i * 37 + i / 11) % 23) / 7 - 1.5 },
      shape: Shape([rows] + model.inputShape.extents), on: model.device)
  }

  /// A backward pass with a given dropout mask; the loss.
  @discardableResult private func backward(_ model: Model) throws -> [Float] {
    let x = try inputs(model)
    let labels = try Tensor((0..<6).map { Int32($0 % 3) }, shape: [6], on: model.device)
    return try model.valueAndGradient(pass: 3) { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels)
    }.scalars()
  }

  private func gradients(_ model: Model) throws -> [[Float]] {
    try model.parameters.map { try $0.gradient?.scalars() ?? [] }
  }

  private func weights(_ model: Model) throws -> [[Float]] {
    try model.parameters.map { try model.weights(named: $0.name) }
  }

  private func norm(_ values: [[Float]]) -> Double {
    values.joined().reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
  }

  @Test(arguments: TestDevices.all)
  func outputIsBitwiseEqualAndGradientsAreCovariant(_ device: Device) throws {
    for number in EquityTests.networks.indices {
      for choice in EquityTransform.Choice.allCases {
        let name = EquityTests.networks[number].name
        let model = try model(number, device)
        let x = try inputs(model)
        let loss = try backward(model)
        let output = try model(x).scalars()
        let before = (try weights(model), norm(try gradients(model)))
        let plan = try EquityTransform(choice).apply(to: model)
        #expect(plan.isApplied && plan.inexactNumbers == 0, "\(name)")
        #expect(try weights(model) != before.0, "\(name)")
        #expect(try model(x).scalars() == output, "\(name), \(choice)")
        let carried = try gradients(model)
        #expect(try backward(model) == loss, "\(name), \(choice)")
        for (place, fresh) in try gradients(model).enumerated() {
          #expect(
            fresh == carried[place], "\(name), \(choice), \(model.parameters[place].name)")
        }
        if choice == .gradientBalancing {
          #expect(norm(carried) < before.1, "\(name)")
          #expect(abs(norm(carried) - plan.normAfter) <= 1e-5 * plan.normAfter, "\(name)")
          #expect(abs(before.1 - plan.normBefore) <= 1e-5 * plan.normBefore, "\(name)")
          #expect(plan.smallestNorm <= plan.normAfter * (1 + 1e-9))
        }
      }
    }
  }

  /// One hidden layer: the closed form of the least energy is exact, and each unit comes within
  /// 1.25 of its own.
  @Test(arguments: TestDevices.all) func energyIsNearTheClosedForm(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Dense(33, activation: .relu)
        Dense(7)
      }, input: [20], device: device, seed: 11)
    for (place, name) in ["dense1.weight", "dense2.weight"].enumerated() {
      let columns = place == 0 ? 33 : 7
      let values = try model.weights(named: name).enumerated().map { i, value in
        let unit = place == 0 ? i % columns : i / columns
        let scale = Float(1 + unit % 9 * unit % 9) * 13
        return place == 0 ? value / scale : value * scale * Float(1 + unit % 5)
      }
      try model.setWeights(values, named: name)
    }
    try backward(model)
    let gradient = try gradients(model)
    func squares(_ unit: Int, _ gradient: [[Float]]) -> (a: Double, b: Double) {
      func square(_ value: Float) -> Double { Double(value) * Double(value) }
      let a =
        (0..<20).reduce(0) { $0 + square(gradient[0][$1 * 33 + unit]) }
        + square(gradient[1][unit])
      return (a, (0..<7).reduce(0) { $0 + square(gradient[2][unit * 7 + $1]) })
    }
    let plan = try EquityTransform().apply(to: model)
    try backward(model)
    let after = try gradients(model)
    let fixed = gradient[3].reduce(0) { $0 + Double($1) * Double($1) }
    var (least, energy) = (fixed, fixed)
    for unit in 0..<33 {
      let (a, b) = squares(unit, gradient)
      let (a2, b2) = squares(unit, after)
      #expect(a2 + b2 <= 1.25 * 2 * (a * b).squareRoot() * (1 + 1e-5), "unit \(unit)")
      least += 2 * (a * b).squareRoot()
      energy += a2 + b2
    }
    #expect(energy <= 1.25 * least * (1 + 1e-5))
    #expect(abs(plan.smallestNorm - least.squareRoot()) <= 1e-4 * plan.smallestNorm)
    #expect(energy.squareRoot() < norm(gradient) / 5)
    // Exponents are log2 of sqrt(a / b), rounded.
    #expect(plan.layers.map(\.name) == ["dense1"])
    // Doing it again finds nothing to do.
    #expect(!(try EquityTransform().apply(to: model).isApplied))
  }

  @Test(arguments: TestDevices.all) func weightsBalanceAcrossLayers(_ device: Device) throws {
    let model = try model(0, device)
    let plan = try EquityTransform(.weightBalancing).apply(to: model)
    #expect(plan.imbalance > 32 && plan.normAfter < plan.normBefore)
    let (first, bias) = (
      try model.weights(named: "dense1.weight"), try model.weights(named: "dense1.bias")
    )
    let second = try model.weights(named: "dense2.weight")
    for unit in 0..<33 {
      let coming = (0..<20).reduce(bias[unit] * bias[unit]) {
        $0 + first[$1 * 33 + unit] * first[$1 * 33 + unit]
      }
      let going = (0..<9).reduce(0) { $0 + second[unit * 9 + $1] * second[unit * 9 + $1] }
      // r2 / r1 within 2 either way: no other power of two is nearer to balance.
      #expect(coming / going <= 4.001 && going / coming <= 4.001, "unit \(unit)")
    }
  }

  /// The state formulas: first moments divided, second moments by the square, exactly.
  @Test(arguments: TestDevices.all) func momentsAreCarriedAlong(_ device: Device) throws {
    for optimizer in [Optimizer.sgd(learningRate: 1e-3, momentum: 0.9), .adam()] {
      let model = try model(0, device)
      let updater = try Updater(optimizer, for: model)
      for _ in 0..<3 {
        try backward(model)
        try updater.update()
      }
      try backward(model)
      func moments() throws -> [[Float]] {
        try updater.moments.map { moment in try device.backend.scalars(moment) }
      }
      let before = try moments()
      let plan = try EquityTransform().apply(to: model, moments: updater.moments)
      #expect(plan.isApplied)
      let after = try moments()
      let (k1, k2) = (plan.layers[0].exponents, plan.layers[1].exponents)
      #expect(k1.contains { $0 != 0 } && k2.contains { $0 != 0 })
      let exponents: [String: (Int) -> Int] = [
        "dense1.weight": { k1[$0 % 33] }, "dense1.bias": { k1[$0] },
        "dense2.weight": { k2[$0 % 9] - k1[$0 / 9] }, "dense2.bias": { k2[$0] },
        "dense3.weight": { -k2[$0 / 7] }, "dense3.bias": { _ in 0 },
      ]
      for parameter in model.parameters {
        let offset = try #require(parameter.place).offset
        let exponent = try #require(exponents[parameter.name])
        for i in 0..<parameter.shape.count {
          let k = exponent(i)
          for (power, pair) in zip([1, 2], zip(before, after)) {
            let scale = Float(sign: .plus, exponent: -power * k, significand: 1)
            #expect(pair.1[offset + i] == pair.0[offset + i] * scale)
          }
        }
      }
      // And training goes on.
      let loss = try backward(model)[0]
      try updater.update()
      #expect(try backward(model)[0] <= loss)
    }
  }

  /// Before tanh nothing is folded; asked to, it is refused by name.
  @Test(arguments: TestDevices.all) func nonHomogeneousLayersAreWrapped(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Dense(8, activation: .tanh)
        Dense(6, activation: .relu).named("middle")
        Dense(5)
        Gelu()
        Dense(3)
      }, input: [4], device: device, seed: 3)
    try backward(model)
    let before = try weights(model)
    let plan = try EquityTransform().plan(for: model)
    #expect(try weights(model) == before)
    #expect(plan.layers.map(\.name) == ["dense1", "middle", "dense2"])
    let reasons = plan.layers.map { $0.wrappedBecause ?? "" }
    #expect(reasons[0].contains("dense1 (Dense) applies tanh") && reasons[1] == "")
    #expect(reasons[2].contains("gelu1 (Gelu) applies gelu"))
    #expect(plan.layers.map(\.exponents.count) == [8, 6, 5])
    for layer in ["dense1", "dense2", "dense3", "nothing"] {
      let transform = try EquityTransform(layers: ["middle", layer])
      let text = sentence { try transform.apply(to: model) }
      #expect(text.contains(layer) && text.contains("requires"), "\(text)")
      let other = sentence {
        try EquityTransform.fold([Int](repeating: 1, count: 8), into: layer, of: model)
      }
      #expect(other.contains(layer), "\(other)")
    }
    #expect(try weights(model) == before)
    let wrong = sentence { try EquityTransform.fold([1], into: "middle", of: model) }
    #expect(wrong.contains("6 exponents"))
    let output = try model(inputs(model)).scalars()
    try EquityTransform.fold([1, -3, 0, 5, 2, -40], into: "middle", of: model)
    #expect(try model(inputs(model)).scalars() == output)
    #expect(try weights(model)[3][1] == before[3][1] * 0.125)
    #expect(try weights(model)[0] == before[0])
  }

  /// Filters before a normalisation: exact but for epsilon, with consistent running statistics.
  @Test(arguments: TestDevices.all) func unitNormBeforeBatchNorm(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Conv2D(6, kernel: 3)
        BatchNorm(epsilon: 1e-6, activation: .relu)
        GlobalAvgPool2D()
        Dense(3)
      }, input: [8, 8, 1], device: device, seed: 5)
    let first = try model.weights(named: "conv1.weight")
    try model.setWeights(
      first.enumerated().map { $1 * Float($0 % 6 * 40 + 5) }, named: "conv1.weight")
    // Running statistics of one batch exactly.
    try backward(model)
    let x = try inputs(model)
    let output = try model(x).scalars()
    let (mean, variance) = (
      try model.weights(named: "batchnorm1.running_mean"),
      try model.weights(named: "batchnorm1.running_variance")
    )
    let exact = try EquityTransform().plan(for: model)
    #expect(exact.layers[0].wrappedBecause?.contains("batchnorm1") == true)
    let plan = try EquityTransform(beforeBatchNorm: .unitNorm).apply(to: model)
    let k = plan.layers[0].exponents
    #expect(plan.layers[0].wrappedBecause == nil && Set(k).count > 2)
    let weight = try model.weights(named: "conv1.weight")
    for unit in 0..<6 {
      let norm = (0..<9).reduce(Float(0)) {
        $0 + weight[$1 * 6 + unit] * weight[$1 * 6 + unit]
      }.squareRoot()
      #expect(norm > 0.7 && norm < 1.42)
      let scale = Float(sign: .plus, exponent: k[unit], significand: 1)
      #expect(
        try model.weights(named: "batchnorm1.running_mean")[unit] == mean[unit] * scale)
      #expect(
        try model.weights(named: "batchnorm1.running_variance")[unit]
          == variance[unit] * scale * scale)
    }
    for (after, before) in zip(try model(x).scalars(), output) {
      #expect(abs(after - before) <= 1e-4 * max(1, abs(before)))
    }
  }

  @Test(arguments: TestDevices.all) func frozenParametersStay(_ device: Device) throws {
    let model = try model(0, device)
    try model.freeze("dense2")
    try backward(model)
    let before = try weights(model)
    try EquityTransform(.weightBalancing).apply(to: model)
    #expect(try weights(model) == before)
  }

  @Test func refusesWhatCannotBe() throws {
    let model = try model(0, .cpu)
    let none = sentence { try EquityTransform().apply(to: model) }
    #expect(none.contains("gradients of a backward pass"), "\(none)")
    try backward(model)
    let before = try weights(model)
    var bad = before[2]
    bad[4] = .nan
    try model.setWeights(bad, named: "dense2.weight")
    let nan = sentence { try EquityTransform(.weightBalancing).apply(to: model) }
    #expect(nan.contains("finite") && nan.contains("dense2.weight"), "\(nan)")
    try model.setWeights(before[2], named: "dense2.weight")
    #expect(sentence { _ = try EquityTransform(layers: []) }.contains("at least one layer"))
    let limit = sentence { try EquityTransform().apply(to: model, ifImbalanceAbove: .nan) }
    #expect(limit.contains("finite limit"))
    #expect(sentence { _ = try EquityStage(EquityTransform(), every: 0) }.contains("period"))
    let overflow = sentence {
      try EquityTransform.fold([Int](repeating: 126, count: 33), into: "dense1", of: model)
      try EquityTransform.fold([Int](repeating: 126, count: 33), into: "dense1", of: model)
    }
    #expect(overflow.contains("infinite number"), "\(overflow)")
  }

  /// The stage acts at its period and above its limit only, and waits out bad gradients.
  @Test(arguments: TestDevices.all) func stageKeepsToItsPeriodAndLimit(_ device: Device) throws {
    let model = try model(0, device)
    let updater = try Updater(.sgd(learningRate: 1e-6, momentum: 0.9), for: model)
    let stage = try EquityStage(EquityTransform(), every: 4)
    for step in UInt64(1)...8 {
      try backward(model)
      try updater.update()
      try stage.stepEnded(model: model, moments: updater.moments, step: step)
      #expect(stage.looks == Int(step / 4) && stage.applications == (step < 4 ? 0 : 1))
    }
    #expect(try #require(stage.lastPlan).imbalance < 32)
    let always = try EquityStage(EquityTransform(), ifImbalanceAbove: 1, every: 1)
    try device.backend.fill(model.arena.gradients, with: .nan)
    let before = try weights(model)
    try always.stepEnded(model: model, moments: updater.moments, step: 1)
    #expect(always.looks == 1 && always.applications == 0)
    #expect(try weights(model) == before)
  }
}
