import Glibc
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct GradientTapTests {
  private static let (batch, steps, features, units) = (2, 4, 3, 3)

  private func numbers(_ count: Int, seed: UInt64) -> [Float] {
    var random = RandomSequence(RandomKey(seed: seed, .user))
    return (0..<count).map { _ in 2 * random.nextUniform() - 1 }
  }

  /// Through a linear network with the recurrent matrix ρ · Q the gradient keeps its direction's
  /// length but for ρ in each step: ‖dh[t]‖ = ρ^(T - t) ‖dh[T]‖, up to 1e28, whose square is no
  /// float32.
  @Test(arguments: TestDevices.all, [Float(0.5), 1, 1.25, 10])
  func linearNetworksFollowThePowersOfRho(_ device: Device, rho: Float) throws {
    let (steps, units) = (29, 16)
    let taps = GradientTaps()
    let model = try Model(
      SimpleRNN(
        units, activation: .identity, recurrentInitializer: .orthogonal(gain: rho)
      ).tapped(taps), input: [steps, 2], device: device, seed: 3)
    let x = try Tensor(
      numbers(5 * steps * 2, seed: 1).map { $0 * 1e-8 }, shape: [5, steps, 2], on: device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
    let norms = try taps.norms()
    #expect(norms.count == steps)
    let last = Double(5 * units).squareRoot()
    for (time, norm) in norms.enumerated() {
      let expected = last * pow(Double(rho), Double(steps - 1 - time))
      #expect(abs(Double(norm) / expected - 1) < 1e-4, "step \(time) of ρ = \(rho)")
    }
  }

  enum Kind: CaseIterable {
    case lstm, gru, plain

    func layer(_ taps: GradientTaps?) -> any Layer {
      let units = GradientTapTests.units
      let taps = taps ?? GradientTaps()
      return switch self {
      case .lstm: LSTM(units, returnsSequences: true).tapped(taps)
      case .gru: GRU(units, returnsSequences: true).tapped(taps)
      case .plain: SimpleRNN(units, returnsSequences: true).tapped(taps)
      }
    }

    var gates: Int {
      switch self {
      case .lstm: 4
      case .gru: 3
      case .plain: 1
      }
    }
  }

  /// sum(weights * states) in Double loops, with `push` added to one element of one hidden state.
  private func loss(
    _ kind: Kind, _ x: [Float], _ parameters: [[Float]], _ weights: [Float],
    push: Double, step: Int, place: Int
  ) -> Double {
    let (batch, steps, features, units) = (Self.batch, Self.steps, Self.features, Self.units)
    let columns = kind.gates * units
    func sigmoid(_ value: Double) -> Double { 1 / (1 + exp(-value)) }
    var hidden = [Double](repeating: 0, count: batch * units)
    var cells = hidden
    var total = 0.0
    for time in 0..<steps {
      let before = hidden
      for spot in hidden.indices {
        let (row, unit) = (spot / units, spot % units)
        let parts = (0..<kind.gates).map { gate -> (z: Double, q: Double) in
          let column = gate * units + unit
          var (z, q) = (Double(parameters[2][column]), 0.0)
          for f in 0..<features {
            let value = Double(x[(row * steps + time) * features + f])
            z += value * Double(parameters[0][f * columns + column])
          }
          for u in 0..<units {
            q += before[row * units + u] * Double(parameters[1][u * columns + column])
          }
          return (z, q)
        }
        switch kind {
        case .lstm:
          let z = parts.map { $0.z + $0.q }
          cells[spot] = sigmoid(z[1]) * cells[spot] + sigmoid(z[0]) * tanh(z[2])
          hidden[spot] = sigmoid(z[3]) * tanh(cells[spot])
        case .gru:
          let r = sigmoid(parts[0].z + parts[0].q)
          let u = sigmoid(parts[1].z + parts[1].q)
          hidden[spot] = (1 - u) * tanh(parts[2].z + r * parts[2].q) + u * before[spot]
        case .plain: hidden[spot] = tanh(parts[0].z + parts[0].q)
        }
      }
      if time == step { hidden[place] += push }
      for spot in hidden.indices {
        let (row, unit) = (spot / units, spot % units)
        total += hidden[spot] * Double(weights[(row * steps + time) * units + unit])
      }
    }
    return total
  }

  /// Each norm against differences of the loss as each hidden state is pushed.
  @Test(arguments: TestDevices.all, Kind.allCases)
  func normsAreThoseOfTheStates(_ device: Device, kind: Kind) throws {
    let taps = GradientTaps()
    let model = try Model(
      kind.layer(taps), input: [Self.steps, Self.features], device: device, seed: 6)
    let values = numbers(Self.batch * Self.steps * Self.features, seed: 2)
    let weights = numbers(Self.batch * Self.steps * Self.units, seed: 3)
    let x = try Tensor(values, shape: [Self.batch, Self.steps, Self.features], on: device)
    let w = try Tensor(weights, shape: [Self.batch, Self.steps, Self.units], on: device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in
      try (model(x, pass) * w).sum()
    }
    let parameters = try ["input.weight", "recurrent.weight", "bias"].map {
      try model.weights(named: $0)
    }
    let norms = try taps.norms(of: "")
    for step in 0..<Self.steps {
      var squares = 0.0
      for place in 0..<Self.batch * Self.units {
        let push = 1e-5
        let slope = [push, -push].map {
          loss(kind, values, parameters, weights, push: $0, step: step, place: place)
        }
        squares += pow((slope[0] - slope[1]) / (2 * push), 2)
      }
      #expect(abs(Double(norms[step]) / squares.squareRoot() - 1) < 1e-4, "\(kind), step \(step)")
    }
  }

  @Test(arguments: TestDevices.all) func tapsChangeNothing(_ device: Device) throws {
    let taps = GradientTaps()
    let x = try Tensor(numbers(6 * 5 * 3, seed: 1), shape: [6, 5, 3], on: device)
    let gradients = try [true, false].map { isTapped in
      let plain = LSTM(4, layers: 2, bidirectional: true)
      let network = Sequential([isTapped ? plain.tapped(taps) : plain])
      let model = try Model(network, input: [5, 3], device: device, seed: 6)
      _ = try model(x)
      #expect(taps.paths.isEmpty == isTapped)
      _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
      return try model.parameters.map { try $0.gradient?.scalars() ?? [] }
    }
    #expect(gradients[0] == gradients[1])
    #expect(
      taps.paths == [
        "lstm1.layer1.forward", "lstm1.layer1.backward", "lstm1.layer2.forward",
        "lstm1.layer2.backward",
      ])
    // The output is the state after the last step: all of the loss arrives there, as ones.
    let forward = try taps.norms(of: "lstm1.layer2.forward")
    let backward = try taps.norms(of: "lstm1.layer2.backward")
    #expect(abs(forward[4] - Float(24).squareRoot()) < 1e-5)
    #expect(abs(backward[0] - Float(24).squareRoot()) < 1e-5)
    #expect(forward.allSatisfy { $0 > 0 } && forward[0] < forward[4] && backward[4] < backward[0])
  }

  @Test func normsThatAreNotThereAreRefused() throws {
    let taps = GradientTaps()
    #expect(sentence { _ = try taps.norms() }.contains("after a training pass: [], got none"))
    let model = try Model(
      Sequential { LSTM(2).tapped(taps) }, input: [3, 2], device: .cpu, seed: 1)
    let x = try Tensor.ones([1, 3, 2], on: .cpu)
    _ = try model(x, Pass(isTraining: true, seed: 1, step: 0))
    #expect(
      sentence { _ = try taps.norms() }
        == "taps: requires a backward pass, got a forward pass of lstm1 only")
    #expect(sentence { _ = try taps.norms(of: "lstm2") }.contains("[\"lstm1\"], got lstm2"))
  }
}
