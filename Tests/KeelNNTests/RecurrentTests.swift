import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct RecurrentTests {
  /// A tensor of repeatable numbers in [-1, 1).
  private func numbers(
    _ shape: Shape, on device: Device, seed: UInt64 = 1
  ) throws -> Tensor {
    var random = RandomSequence(RandomKey(seed: seed, .user))
    return try Tensor(
      (0..<shape.count).map { _ in 2 * random.nextUniform() - 1 }, shape: shape, on: device)
  }

  private func weights(_ model: Model, _ name: String) throws -> Tensor {
    try #require(model.parameters.first { $0.name == name }?.tensor)
  }

  /// batch x steps x features with time the other way round.
  private func reversed(_ x: Tensor) throws -> Tensor {
    let (batch, steps, features) = (x.shape[0], x.shape[1], x.shape[2])
    let values = try x.scalars()
    let result = (0..<values.count).map { place in
      let (row, rest) = (place / (steps * features), place % (steps * features))
      let time = steps - 1 - rest / features
      return values[(row * steps + time) * features + rest % features]
    }
    return try Tensor(result, shape: [batch, steps, features], on: x.device)
  }

  @Test func parametersAreNamedByLayerAndDirection() throws {
    let one = try Model(Sequential { LSTM(5) }, input: [7, 3], device: .cpu)
    #expect(
      one.parameters.map(\.name) == ["lstm1.input.weight", "lstm1.recurrent.weight", "lstm1.bias"])
    #expect(one.parameters.map(\.shape) == [[3, 20], [5, 20], [20]])
    #expect(one.parameters.map(\.decays) == [true, true, false])
    #expect(one.outputShape == [5])
    let many = try Model(
      Sequential { GRU(4, returnsSequences: true, layers: 2, bidirectional: true) },
      input: [7, 3], device: .cpu)
    #expect(
      many.parameters.map(\.name).filter { $0.hasSuffix("recurrent.weight") } == [
        "gru1.layer1.forward.recurrent.weight", "gru1.layer1.backward.recurrent.weight",
        "gru1.layer2.forward.recurrent.weight", "gru1.layer2.backward.recurrent.weight",
      ])
    #expect(try weights(many, "gru1.layer2.forward.input.weight").shape == [8, 12])
    #expect(many.outputShape == [7, 8])
    #expect(many.layers.map(\.kind) == ["GRU", "GRU", "GRU", "GRU"])
    let deep = try Model(Sequential { SimpleRNN(4, layers: 2) }, input: [7, 3], device: .cpu)
    #expect(deep.parameters[3].name == "simplernn1.layer2.input.weight")
    #expect(deep.outputShape == [4])
  }

  @Test func forgetBiasStandsInTheSecondQuarter() throws {
    let model = try Model(LSTM(3), input: [2, 4], device: .cpu)
    #expect(try model.weights(named: "bias") == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    let other = try Model(LSTM(2, forgetBias: 2.5), input: [2, 4], device: .cpu)
    #expect(try other.weights(named: "bias") == [0, 0, 2.5, 2.5, 0, 0, 0, 0])
    #expect(try Model(GRU(1), input: [2, 4], device: .cpu).weights(named: "bias") == [0, 0, 0])
  }

  @Test func recurrentWeightsBeginOrthonormal() throws {
    func product(_ layer: any Layer, _ units: Int) throws -> [Float] {
      let model = try Model(layer, input: [3, 4], device: .cpu, seed: 5)
      let weight = try weights(model, "recurrent.weight")
      return try weight.matmul(weight, transposeRight: true).scalars()
    }
    for (layer, scale) in [
      (LSTM(9) as any Layer, Float(1)), (GRU(9), 1), (SimpleRNN(9), 1),
      (SimpleRNN(9, recurrentInitializer: .orthogonal(gain: 3)), 9),
    ] {
      for (place, value) in try product(layer, 9).enumerated() {
        #expect(abs(value - (place % 10 == 0 ? scale : 0)) < 1e-5 * scale)
      }
    }
  }

  @Test func firstBitsAreTheSameOnEveryDevice() throws {
    let bits = try TestDevices.all.map { device in
      let model = try Model(
        LSTM(6, layers: 2, bidirectional: true), input: [4, 3], device: device, seed: 8)
      return try model.parameters.map { try model.weights(named: $0.name).map(\.bitPattern) }
    }
    #expect(bits.allSatisfy { $0 == bits[0] })
    #expect(Set(bits[0].filter { $0.count > 24 }).count == bits[0].count { $0.count > 24 })
  }

  @Test(arguments: TestDevices.all)
  func bidirectionalIsOnePassEachWay(_ device: Device) throws {
    let x = try numbers([3, 6, 4], on: device)
    let model = try Model(
      LSTM(5, returnsSequences: true, bidirectional: true), input: [6, 4], device: device, seed: 2)
    func pass(_ input: Tensor, _ direction: String) throws -> Tensor {
      try input.lstm(
        inputWeight: weights(model, "\(direction).input.weight"),
        recurrentWeight: weights(model, "\(direction).recurrent.weight"),
        bias: weights(model, "\(direction).bias"))
    }
    let forth = try pass(x, "forward")
    let back = try reversed(pass(reversed(x), "backward"))
    let joined = try Tensor.concatenate([forth, back], axis: 2)
    #expect(try model(x).scalars() == joined.scalars())

    // The states after each pass: the last step of one, the first of the other.
    let short = try Model(LSTM(5, bidirectional: true), input: [6, 4], device: device, seed: 2)
    let ends = try Tensor.concatenate(
      [forth.sliced([0..<3, 5..<6, 0..<5]), back.sliced([0..<3, 0..<1, 0..<5])], axis: 2)
    #expect(try short(x).scalars() == ends.scalars())
  }

  @Test(arguments: TestDevices.all)
  func aStackIsLayersInTurnWithDropoutBetween(_ device: Device) throws {
    let x = try numbers([2, 5, 3], on: device)
    let model = try Model(
      LSTM(8, layers: 2, dropout: 0.5), input: [5, 3], device: device, seed: 4)
    func layer(_ number: Int, _ input: Tensor) throws -> Tensor {
      try input.lstm(
        inputWeight: weights(model, "layer\(number).input.weight"),
        recurrentWeight: weights(model, "layer\(number).recurrent.weight"),
        bias: weights(model, "layer\(number).bias"))
    }
    func last(_ states: Tensor) throws -> [Float] {
      try states.sliced([0..<2, 4..<5, 0..<8]).scalars()
    }
    let first = try layer(1, x)
    #expect(try model(x).scalars() == last(layer(2, first)))
    let pass = Pass(isTraining: true, seed: 4, step: 3)
    let thinned = try first.dropout(rate: 0.5, key: pass.dropoutKey(stream: 0))
    #expect(try model(x, pass).scalars() == last(layer(2, thinned)))
    #expect(try model(x, pass).scalars() != model(x).scalars())
  }

  @Test(arguments: TestDevices.all) func gradientsReachEveryParameter(_ device: Device) throws {
    let x = try numbers([4, 5, 3], on: device)
    for layer in [
      LSTM(4, layers: 2, bidirectional: true) as any Layer, GRU(4, layers: 2),
      SimpleRNN(4, bidirectional: true),
    ] {
      let model = try Model(layer, input: [5, 3], device: device, seed: 1)
      let run = {
        _ = try model.valueAndGradient(pass: 1) { (pass) throws(TensorError) in
          try model(x, pass).sum()
        }
        return try model.parameters.map { try $0.gradient?.scalars() ?? [] }
      }
      let gradients = try run()
      for gradient in gradients {
        #expect(gradient.allSatisfy(\.isFinite) && gradient.contains { $0 != 0 })
      }
      #expect(try run() == gradients)
    }
  }

  @Test func whatCannotWorkIsRefused() {
    func refusal(_ layer: any Layer, _ input: Shape = [5, 3]) -> String {
      sentence { _ = try Model(Sequential([layer]), input: input, device: .cpu) }
    }
    #expect(
      refusal(LSTM(4), [28, 28, 1])
        == "lstm1 (LSTM): requires a sequence of steps x features (RowsAsSteps makes one of an "
        + "image), got 28x28x1")
    #expect(refusal(LSTM(0)).contains("at least one unit and one layer, got 0 units and 1 layers"))
    #expect(refusal(GRU(3, layers: 0)).contains("got 3 units and 0 layers"))
    #expect(refusal(LSTM(4, layers: 2, dropout: 1)).contains("a dropout in 0 ..< 1, got 1.0"))
    #expect(refusal(LSTM(4, dropout: 0.2)).contains("got a dropout of 0.2 in one layer"))
    #expect(refusal(LSTM(4, forgetBias: .nan)).contains("a finite forget bias, got nan"))
    #expect(refusal(SimpleRNN(4, activation: .gelu)).contains("such as tanh or relu, got gelu"))
    #expect(refusal(RowsAsSteps(), [3]).contains("two axes or more"))
  }

  @Test func modelsOfDigitsHaveTheirShapes() throws {
    let rows = try Model(
      .lstmClassifier(units: 16, classes: 10), input: [28, 28, 1], device: .cpu)
    #expect(rows.layers.map(\.output.description) == ["28x28", "16", "10"])
    #expect(rows.parameterCount == (28 + 16 + 1) * 64 + 170)
    let images = try Model(.convolutionalLSTM(classes: 10), input: [28, 28, 1], device: .cpu)
    #expect(
      images.layers.map(\.output.description)
        == ["26x26x32", "13x13x32", "13x416", "13x32", "32", "10"])
    #expect(images.parameterCount == 320 + (416 + 32 + 1) * 128 + (32 + 32 + 1) * 128 + 330)
    #expect(try images(Tensor.zeros([2, 28, 28, 1], on: .cpu)).shape == [2, 10])
  }
}
