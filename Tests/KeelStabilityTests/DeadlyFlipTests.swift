import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What exchanging units does to function, weights and state.
@Suite struct DeadlyFlipTests {
  private func dense(_ device: Device) throws -> Model {
    let model = try Model(
      Sequential {
        Dense(16, activation: .tanh)
        Dense(12, activation: .relu)
        Dense(3)
      }, input: [5], device: device, seed: 9)
    return try spread(model)
  }

  private func convolutions(_ device: Device) throws -> Model {
    let model = try Model(
      Sequential {
        Conv2D(6, kernel: 3, usesBias: false)
        BatchNorm(activation: .relu)
        Conv2D(6, kernel: 3, padding: .same, groups: 6)
        Silu()
        MaxPool2D(2)
        Flatten()
        Dense(8)
        LayerNorm()
        Dense(3)
      }, input: [8, 8, 1], device: device, seed: 9)
    return try spread(model)
  }

  private func joins(_ device: Device) throws -> Model {
    let model = try Model(
      Sequential {
        Conv2D(5, kernel: 3, activation: .relu)
        Residual(activation: .relu) {
          Conv2D(7, kernel: 3, padding: .same)
          BatchNorm(activation: .relu)
          Conv2D(5, kernel: 3, padding: .same)
        }
        DenseConnection { Conv2D(6, kernel: 3, padding: .same, activation: .tanh) }
        GlobalAvgPool2D()
        Dense(8)
        RMSNorm()
        Dense(3)
      }, input: [6, 6, 1], device: device, seed: 9)
    return try spread(model)
  }

  /// Gives every parameter and state numbers that differ.
  private func spread(_ model: Model) throws -> Model {
    for name in model.parameters.map(\.name) + model.states.map(\.name) {
      let values = try model.weights(named: name)
      try model.setWeights(
        values.enumerated().map { $1 + Float(($0 * 7 + 3) % 11) * 0.01 }, named: name)
    }
    return model
  }

  private func inputs(_ model: Model) throws -> Tensor {
    try Tensor(
      (0..<(6 * model.inputShape.count)).map { (place: Int) -> Float in
        Float((place * 37 + place / 11) % 23) / 9 - 1.2
      },
      shape: Shape([6] + model.inputShape.extents), on: model.device)
  }

  private func backward(_ model: Model) throws {
    let x = try inputs(model)
    let labels = try Tensor((0..<6).map { Int32($0 % 3) }, shape: [6], on: model.device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels)
    }
  }

  private func everything(_ model: Model) throws -> [String: [Float]] {
    var all: [String: [Float]] = [:]
    for name in model.parameters.map(\.name) + model.states.map(\.name) {
      all[name] = try model.weights(named: name)
    }
    return all
  }

  private func expectNear(_ output: [Float], _ reference: [Float], width: Int) {
    let scale = reference.map(abs).max() ?? 1
    for (value, expected) in zip(output, reference) {
      #expect(abs(value - expected) <= 16 * scale.ulp * Float(width).squareRoot())
    }
  }

  @Test(arguments: TestDevices.all)
  func exchangesKeepTheFunctionAndUndoThemselves(_ device: Device) throws {
    for (model, layers, width) in [
      (try dense(device), ["dense1", "dense2"], 16),
      (try convolutions(device), ["conv1", "conv2", "dense1"], 54),
      (
        try joins(device), ["conv1", "residual1.conv1", "denseconnection1.conv1", "dense1"], 63
      ),
    ] {
      for mode in DeadlyFlip.Mode.allCases {
        for layer in layers {
          let flip = try DeadlyFlip(mode)
          let before = try everything(model)
          let x = try inputs(model)
          let output = try model(x).scalars()
          try flip.exchange(1, 4, in: layer, of: model)
          let after = try everything(model)
          #expect(after != before, "\(layer), \(mode)")
          for (name, values) in after {
            // Every number is still there: norms are those of the same numbers.
            #expect(values.sorted() == before[name]?.sorted(), "\(name)")
          }
          let flipped = try model(x).scalars()
          if mode == .incoming {
            #expect(flipped != output, "\(layer)")
          } else {
            expectNear(flipped, output, width: width)
          }
          try flip.exchange(1, 4, in: layer, of: model)
          #expect(try everything(model) == before, "\(layer), \(mode)")
        }
      }
    }
  }

  @Test func columnsBiasesAndRowsMoveTogether() throws {
    let model = try dense(.cpu)
    let before = try everything(model)
    try DeadlyFlip(.incoming).exchange(2, 5, in: "dense1", of: model)
    let incoming = try everything(model)
    let (w, b) = (try #require(before["dense1.weight"]), try #require(before["dense1.bias"]))
    var expected = w
    for row in 0..<5 { expected.swapAt(row * 16 + 2, row * 16 + 5) }
    var bias = b
    bias.swapAt(2, 5)
    #expect(incoming["dense1.weight"] == expected && incoming["dense1.bias"] == bias)
    #expect(incoming["dense2.weight"] == before["dense2.weight"])
    let other = try dense(.cpu)
    try DeadlyFlip(.permutation).exchange(2, 5, in: "dense1", of: other)
    var next = try #require(before["dense2.weight"])
    for column in 0..<12 { next.swapAt(2 * 12 + column, 5 * 12 + column) }
    let permuted = try everything(other)
    #expect(permuted["dense1.weight"] == expected && permuted["dense2.weight"] == next)
  }

  /// A normalisation's scale, shift and running statistics move with the channel, also if only
  /// what comes in moves.
  @Test func normalisationMovesWithItsChannel() throws {
    for mode in DeadlyFlip.Mode.allCases {
      let model = try convolutions(.cpu)
      let before = try everything(model)
      try DeadlyFlip(mode).exchange(0, 3, in: "conv1", of: model)
      let after = try everything(model)
      for name in ["gamma", "beta", "running_mean", "running_variance"] {
        var expected = try #require(before["batchnorm1.\(name)"])
        expected.swapAt(0, 3)
        #expect(after["batchnorm1.\(name)"] == expected, "\(name), \(mode)")
      }
    }
  }

  /// Trains with a unit of dense1 that a planted push makes volatile at a step.
  private func train(
    _ device: Device, _ optimizer: Optimizer, _ stage: DeadlyFlipStage?, steps: UInt64 = 8,
    push: UInt64? = nil
  ) throws -> (model: Model, updater: Updater) {
    let model = try dense(device)
    let updater = try Updater(optimizer, for: model)
    try stage?.trainingBegins(model: model, step: 0)
    for step in UInt64(1)...steps {
      try backward(model)
      try updater.update()
      if step == push {
        var weight = try model.weights(named: "dense1.weight")
        for row in 0..<5 { weight[row * 16 + 7] += 0.8 }
        try model.setWeights(weight, named: "dense1.weight")
      }
      try stage?.stepEnded(model: model, moments: updater.moments, step: step)
    }
    return (model, updater)
  }

  @Test(arguments: TestDevices.all) func probabilityZeroIsPlainDescent(_ device: Device) throws {
    let optimizer = Optimizer.sgd(learningRate: 0.05, momentum: 0.9)
    let plain = try train(device, optimizer, nil, push: 4)
    let stage = DeadlyFlipStage(try DeadlyFlip(calm: 0.05, probability: 0, period: 1))
    let never = try train(device, optimizer, stage, push: 4)
    #expect(stage.counters.flips == 0 && stage.counters.notDrawn > 0)
    #expect(try everything(never.model) == everything(plain.model))
    let high = DeadlyFlipStage(try DeadlyFlip(volatile: 1e30, period: 1))
    let unmet = try train(device, optimizer, high, push: 4)
    #expect(high.counters.flips == 0 && high.counters.withinThresholds == 16)
    #expect(try everything(unmet.model) == everything(plain.model))
  }

  @Test(arguments: TestDevices.all) func firesOnAPlantedOutlier(_ device: Device) throws {
    for mode in DeadlyFlip.Mode.allCases {
      let rule = try DeadlyFlip(mode, volatile: 0.5, calm: 0.1, period: 2, cooldown: 3)
      let optimizer = Optimizer.sgd(learningRate: 1e-3)
      // The push is at a step that is looked at, and one after it is not seen.
      let stage = DeadlyFlipStage(rule)
      let (model, _) = try train(device, optimizer, stage, steps: 4, push: 4)
      let counters = stage.counters
      #expect(counters.looks == 4 && counters.flips == 1 && counters.withinThresholds == 3)
      let flip = try #require(stage.latest.first)
      #expect(flip.layer == "dense1" && flip.volatileUnit == 7 && flip.step == 4)
      #expect(flip.volatileChange > 0.5 && flip.calmChange < 0.1)
      let reference = try train(device, optimizer, nil, steps: 4, push: 4).model
      #expect(try everything(model) != everything(reference))
      try rule.exchange(flip.volatileUnit, flip.calmUnit, in: "dense1", of: model)
      #expect(try everything(model) == everything(reference))
      let between = DeadlyFlipStage(rule)
      _ = try train(device, optimizer, between, steps: 4, push: 3)
      #expect(between.counters.flips == 0)
    }
  }

  @Test func doesNotFireWhenAllChangesAreEqual() throws {
    let model = try dense(.cpu)
    let stage = DeadlyFlipStage(try DeadlyFlip(volatile: 0.1, calm: 0.05, period: 1))
    try stage.trainingBegins(model: model, step: 0)
    // Every unit is multiplied alike: r is equal, and far above the threshold.
    for parameter in model.parameters {
      let doubled = try model.weights(named: parameter.name).map { $0 * 2 }
      try model.setWeights(doubled, named: parameter.name)
    }
    let before = try everything(model)
    try stage.stepEnded(model: model, moments: [], step: 1)
    #expect(stage.counters.looks == 2 && stage.counters.withinThresholds == 2)
    #expect(try everything(model) == before)
  }

  @Test func restsAndDraws() throws {
    func counters(_ rule: DeadlyFlip) throws -> (DeadlyFlipStage.Counters, [UInt64]) {
      let model = try dense(.cpu)
      let stage = DeadlyFlipStage(rule)
      var steps: [UInt64] = []
      try stage.trainingBegins(model: model, step: 0)
      for step in UInt64(1)...40 {
        var weight = try model.weights(named: "dense1.weight")
        for row in 0..<5 { weight[row * 16 + 7] *= 3 }
        try model.setWeights(weight, named: "dense1.weight")
        try stage.stepEnded(model: model, moments: [], step: step)
        if !stage.latest.isEmpty { steps.append(step) }
        for row in 0..<5 { weight[row * 16 + 7] /= 3 }
        try model.setWeights(weight, named: "dense1.weight")
        try stage.trainingBegins(model: model, step: step)
      }
      return (stage.counters, steps)
    }
    let rested = try counters(try DeadlyFlip(period: 1, cooldown: 9))
    #expect(rested.1 == [1, 11, 21, 31] && rested.0.resting == 36)
    let rule = try DeadlyFlip(probability: 0.5, period: 1, cooldown: 0)
    let drawn = try counters(rule)
    #expect(drawn.0.flips + drawn.0.notDrawn == 40)
    #expect((10...30).contains(drawn.0.flips))
    #expect(try counters(rule).1 == drawn.1)
  }

  /// What becomes of momentum and of Adam's moments, by mode.
  @Test(arguments: TestDevices.all) func momentsByMode(_ device: Device) throws {
    for optimizer in [Optimizer.sgd(learningRate: 0.01, momentum: 0.9), .adam()] {
      for (mode, moments) in [
        (DeadlyFlip.Mode.permutation, DeadlyFlip.Moments.travel), (.stateSwap, .reset),
        (.stateSwap, .stay), (.incoming, .stay), (.incoming, .travel),
      ] {
        let (model, updater) = try train(device, optimizer, nil)
        let parameters = model.parameters
        let offsets = Dictionary(
          uniqueKeysWithValues: parameters.compactMap { parameter in
            parameter.place.map { (parameter.name, $0.offset) }
          })
        let (first, bias, second) = (
          try #require(offsets["dense1.weight"]), try #require(offsets["dense1.bias"]),
          try #require(offsets["dense2.weight"])
        )
        func state() throws -> [[Float]] {
          try updater.moments.map { moment in try device.backend.scalars(moment) }
        }
        var expected = try state()
        let flip = try DeadlyFlip(mode, moments: moments)
        try flip.exchange(3, 8, in: "dense1", of: model, moments: updater.moments)
        for number in expected.indices {
          #expect(expected[number][bias + 3] != expected[number][bias + 8])
          var pairs = (0..<5).map { (first + $0 * 16 + 3, first + $0 * 16 + 8) }
          pairs.append((bias + 3, bias + 8))
          if mode != .incoming {
            pairs += (0..<12).map { (second + 3 * 12 + $0, second + 8 * 12 + $0) }
          }
          for (mine, theirs) in pairs {
            if moments == .travel { expected[number].swapAt(mine, theirs) }
            if moments == .reset { expected[number][theirs] = 0 }
          }
        }
        #expect(try state() == expected, "\(optimizer.name), \(mode), \(moments)")
      }
    }
  }

  /// A permutation with its moments changes nothing that training does, but for rounding.
  @Test func permutationDoesNotChangeTraining() throws {
    let optimizer = Optimizer.sgd(learningRate: 0.05, momentum: 0.9)
    let reference = try train(.cpu, optimizer, nil, steps: 20).model
    let stage = DeadlyFlipStage(
      try DeadlyFlip(.permutation, volatile: 1e-3, calm: 9e-4, period: 1, cooldown: 0))
    let model = try train(.cpu, optimizer, stage, steps: 20).model
    #expect(stage.counters.flips > 3)
    let (output, expected) = (
      try model(inputs(model)).scalars(), try reference(inputs(reference)).scalars()
    )
    for (value, other) in zip(output, expected) { #expect(abs(value - other) <= 1e-4) }
  }

  @Test func refusesWhatCannotBe() throws {
    for text in [
      sentence { _ = try DeadlyFlip(volatile: .nan) },
      sentence { _ = try DeadlyFlip(volatile: .infinity) },
      sentence { _ = try DeadlyFlip(calm: 0.2) }, sentence { _ = try DeadlyFlip(calm: 0) },
      sentence { _ = try DeadlyFlip(probability: 1.5) }, sentence { _ = try DeadlyFlip(period: 0) },
      sentence { _ = try DeadlyFlip(cooldown: -1) },
      sentence { _ = try DeadlyFlip(.permutation, moments: .stay) },
      sentence { _ = try DeadlyFlip(.stateSwap, moments: .travel) },
    ] { #expect(text.contains("deadly flip: requires"), "\(text)") }
    let model = try dense(.cpu)
    let before = try everything(model)
    let flip = try DeadlyFlip()
    #expect(sentence { try flip.exchange(0, 1, in: "dense3", of: model) }.contains("output"))
    #expect(sentence { try flip.exchange(0, 1, in: "dense9", of: model) }.contains("dense9"))
    #expect(sentence { try flip.exchange(0, 16, in: "dense1", of: model) }.contains("16"))
    #expect(sentence { try flip.exchange(2, 2, in: "dense1", of: model) }.contains("different"))
    try model.freeze("dense2")
    #expect(sentence { try flip.exchange(0, 1, in: "dense1", of: model) }.contains("frozen"))
    #expect(try everything(model) == before)
    let grouped = try Model(
      Sequential {
        Conv2D(4, kernel: 3)
        Conv2D(4, kernel: 3, groups: 2)
        GlobalAvgPool2D()
        Dense(2)
      }, input: [8, 8, 1], device: .cpu)
    #expect(sentence { try flip.exchange(0, 1, in: "conv1", of: grouped) }.contains("groups"))
  }
}
