import Glibc
import Keel
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What constraints and penalties of the step do to weights.
@Suite struct ConstraintTests {
  private func unitNorms(_ bench: NetworkBench, _ name: String) throws -> [Double] {
    let values = try bench.model.weights(named: name)
    let shape = try #require(bench.model.parameters.first { $0.name == name }).shape
    return (0..<shape[1]).map { column in
      (0..<shape[0]).reduce(0.0) { $0 + pow(Double(values[$1 * shape[1] + column]), 2) }
        .squareRoot()
    }
  }

  @Test(arguments: TestDevices.all) func unitsAreHeldToTheirNorm(_ device: Device) throws {
    for constraint in [Constraint.maximumNorm(0.3), .unitNorm] {
      let bench = try NetworkBench(device)
      let updater = try Updater(
        .sgd(learningRate: 0.5), for: bench.model, stability: Stability(constraints: [constraint]))
      for round in 0..<3 {
        try bench.fillGradients(round)
        try updater.update()
      }
      for name in ["dense1.weight", "dense3.weight"] {
        for norm in try unitNorms(bench, name) {
          if constraint == .unitNorm {
            #expect(abs(norm - 1) < 1e-5)
          } else {
            #expect(norm <= 0.3 * (1 + 1e-6))
          }
        }
      }
      // Biases are not weights.
      #expect(try bench.model.weights(named: "dense1.bias").contains { abs($0) > 1e-3 })
    }
  }

  @Test(arguments: TestDevices.all) func theSpectralNormIsHeld(_ device: Device) throws {
    let bench = try NetworkBench(device)
    let limit = 0.4
    let updater = try Updater(
      .sgd(learningRate: 0.01), for: bench.model,
      stability: Stability(constraints: [.spectralNorm(Float(limit))]))
    for _ in 0..<60 {
      try bench.fillGradients()
      try updater.update()
    }
    for (name, rows, columns) in [("dense1.weight", 4, 6), ("dense2.weight", 6, 5)] {
      let w = try bench.model.weights(named: name).map(Double.init)
      var v = [Double](repeating: 1, count: columns)
      var value = 0.0
      for _ in 0..<500 {
        let u = (0..<rows).map { r in (0..<columns).reduce(0.0) { $0 + w[r * columns + $1] * v[$1] }
        }
        let next = (0..<columns).map { c in
          (0..<rows).reduce(0.0) { $0 + w[$1 * columns + c] * u[$1] }
        }
        let norm = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
        v = next.map { $0 / norm }
        value = norm.squareRoot()
      }
      #expect(value <= limit * 1.02, "\(name): \(value)")
    }
    // A step that is left out changes no weight, and no vector of the iteration.
    let before = try bench.bits()
    try bench.setGradient("dense3.bias", [.nan, 0, 0])
    try updater.update()
    #expect(try bench.bits() == before)
  }

  @Test(arguments: TestDevices.all)
  func theOrthogonalPenaltyIsItsDerivative(_ device: Device) throws {
    let bench = try NetworkBench(device)
    let strength = 0.1
    for (name, rows, columns) in [("dense1.weight", 4, 6), ("dense2.weight", 6, 5)] {
      let w = try bench.model.weights(named: name).map(Double.init)
      // ‖W'W - 1‖² over the narrower side.
      func penalty(_ w: [Double]) -> Double {
        let narrow = min(rows, columns)
        var sum = 0.0
        for i in 0..<narrow {
          for j in 0..<narrow {
            var product = 0.0
            if rows >= columns {
              for r in 0..<rows { product += w[r * columns + i] * w[r * columns + j] }
            } else {
              for c in 0..<columns { product += w[i * columns + c] * w[j * columns + c] }
            }
            sum += pow(product - (i == j ? 1 : 0), 2)
          }
        }
        return strength * sum
      }
      let fresh = try NetworkBench(device)
      for parameter in fresh.model.parameters {
        try fresh.setGradient(parameter.name, .init(repeating: 0, count: parameter.shape.count))
      }
      try Updater(
        .sgd(learningRate: 1e-20), for: fresh.model,
        stability: Stability(penalties: [.orthogonal(Float(strength))])
      ).update()
      let slope = try fresh.gradient(name)
      for i in [0, 7, rows * columns - 1] {
        var (up, down) = (w, w)
        up[i] += 1e-5
        down[i] -= 1e-5
        let difference = (penalty(up) - penalty(down)) / 2e-5
        #expect(abs(Double(slope[i]) - difference) < 1e-4 * max(1, abs(difference)))
      }
    }
  }

  @Test(arguments: TestDevices.all)
  func statisticsOfASkippedStepGoBack(_ device: Device) throws {
    let network = Sequential {
      Dense(4)
      BatchNorm(momentum: 0.5)
      Dense(2)
    }
    let model = try Model(network, input: [3], device: device, seed: 3)
    let updater = try Updater(.sgd(learningRate: 0.1), for: model)
    let x = try Tensor((0..<18).map { Float($0 % 5) }, shape: [6, 3], on: device)
    func step(_ loss: Float) throws -> [UInt32] {
      _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
      try updater.update(loss: try Tensor(loss, on: device))
      return try model.weights(named: "batchnorm1.running_mean").map(\.bitPattern)
    }
    let first = try step(1)
    #expect(try step(.infinity) == first)
    #expect(try step(1) != first)
  }
}
