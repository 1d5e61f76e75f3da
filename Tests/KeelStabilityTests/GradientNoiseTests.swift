import Glibc
import KeelBackend
import KeelStability
import Testing

/// Noise on gradients: its moments, its bits, and what it is for.
@Suite struct GradientNoiseTests {
  private func counters(_ device: Device, row: Int32) throws -> NDArray {
    try device.backend.array([row, 0, 0, 0], shape: [CounterField.count])
  }

  private func noise(
    _ device: Device, on values: [Float], amplitude: Float, row: Int32 = 1,
    scales: [Float]? = nil
  ) throws -> [Float] {
    let bench = try ArenaBench(
      device, .sgd(momentum: 0, dampening: 0, nesterov: false), values, scales: scales)
    try bench.setGradient(values)
    try bench.decide([.noise: amplitude])
    try bench.backend.addUniformNoise(
      to: bench.gradients, seed: 3, firstUpdate: 10, counters: counters(device, row: row),
      scales: bench.scales, decision: bench.decision)
    return try Array(bench.backend.scalars(bench.gradients).prefix(values.count))
  }

  @Test(arguments: TestDevices.all) func momentsAreThoseOfTheUniform(_ device: Device) throws {
    let (count, a) = (1 << 18, 0.5)
    let values = try noise(device, on: zeros(count), amplitude: Float(a)).map(Double.init)
    let mean = values.reduce(0, +) / Double(count)
    let variance = values.reduce(0) { $0 + $1 * $1 } / Double(count) - mean * mean
    let expected = a * a / 3
    #expect(abs(mean) < 5 * (expected / Double(count)).squareRoot())
    // The deviation of a sample variance of uniform numbers: sqrt(4 / 45) a^2 / sqrt(n).
    #expect(abs(variance - expected) < 5 * 0.3 * a * a / Double(count).squareRoot())
    #expect(values.allSatisfy { $0 >= -a && $0 < a })
    #expect(values.contains { $0 < -0.99 * a } && values.contains { $0 > 0.99 * a })
  }

  @Test func devicesAgreeToTheBit() throws {
    let values = numbers(5000)
    let results = try TestDevices.all.map { bits(try noise($0, on: values, amplitude: 0.1)) }
    for other in results { #expect(other == results[0]) }
    #expect(results[0] != bits(values))
    // Another update draws other numbers.
    #expect(try bits(noise(TestDevices.all[0], on: values, amplitude: 0.1, row: 2)) != results[0])
  }

  @Test(arguments: TestDevices.all) func noAmplitudeLeavesEveryBit(_ device: Device) throws {
    let values: [Float] = [1, -0.0, 0, .nan, .infinity, Float(bitPattern: 700)]
    #expect(try bits(noise(device, on: values, amplitude: 0)) == bits(values))
  }

  @Test(arguments: TestDevices.all) func frozenBlocksKeepTheirBits(_ device: Device) throws {
    let values = numbers(3 * ArenaBlock.count)
    let result = try noise(
      device, on: values, amplitude: 0.5, scales: [1, 1, 0, 1, 2, 0])
    let free = try noise(device, on: values, amplitude: 0.5)
    for i in values.indices {
      let isFrozen = i / ArenaBlock.count == 1
      #expect(result[i] == (isFrozen ? values[i] : free[i]))
    }
  }

  /// f = x^2 - y^2 from (1, 0): the gradient of y is 0 for ever, unless noise moves it.
  @Test(arguments: TestDevices.all) func noiseEscapesASaddle(_ device: Device) throws {
    func descend(_ amplitude: Float) throws -> [Float] {
      var bench = try ArenaBench(
        device, .sgd(momentum: 0, dampening: 0, nesterov: false), [1, 0])
      for step in 0..<200 {
        let z = try bench.values()
        if abs(z[1]) > 10 { break }
        try bench.setGradient([2 * z[0], -2 * z[1]])
        let faded = Double(amplitude) / pow(Double(1 + step), 0.55)
        try bench.decide([.learningRate: 0.05, .noise: Float(faded)])
        try bench.backend.addUniformNoise(
          to: bench.gradients, seed: 1, firstUpdate: 0,
          counters: counters(device, row: Int32(step + 1)), scales: bench.scales,
          decision: bench.decision)
        try bench.takeStep()
      }
      return try bench.values()
    }
    let plain = try descend(0)
    #expect(plain[1] == 0 && abs(plain[0]) < 1e-3)
    #expect(abs(try descend(0.1)[1]) > 1)
  }

  @Test func ballNoiseIsUniformInTheBall() {
    let ball = BallNoise(radius: 2, seed: 5)
    var (inner, mean) = (0, 0.0)
    for update in 0..<4000 as Range<UInt64> {
      let noise = ball.values(at: [1..<3], of: 5, update: update)
      #expect(noise[0] == 0 && noise[3] == 0 && noise[4] == 0)
      let norm = (noise[1] * noise[1] + noise[2] * noise[2]).squareRoot()
      #expect(norm <= 2.000_001)
      if norm < 1 { inner += 1 }
      mean += Double(noise[1]) / 4000
    }
    // In two dimensions a quarter of the area lies within half the radius.
    #expect(abs(Double(inner) / 4000 - 0.25) < 5 * (0.25 * 0.75 / 4000).squareRoot())
    #expect(abs(mean) < 5 / 4000.0.squareRoot())
    // Almost all of a ball of many dimensions is at its surface.
    let wide = ball.values(at: [0..<500, 600..<1100], of: 1200, update: 0)
    let norm = wide.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(norm > 1.98 && norm <= 2.000_001)
    #expect(wide[500..<600].allSatisfy { $0 == 0 })
    #expect(
      ball.values(at: [0..<4], of: 4, update: 1) == ball.values(at: [0..<4], of: 4, update: 1))
    #expect(
      ball.values(at: [0..<4], of: 4, update: 1) != ball.values(at: [0..<4], of: 4, update: 2))
    #expect(ball.values(at: [], of: 2, update: 1) == [0, 0])
  }

  @Test(arguments: TestDevices.all)
  func ballNoiseIsAddedWhereTheNormIsSmall(_ device: Device) throws {
    let values = numbers(200)
    let bench = try ArenaBench(
      device, .sgd(momentum: 0, dampening: 0, nesterov: false), values)
    let noise = BallNoise(radius: 1, seed: 2).values(at: [0..<200], of: 256, update: 0)
    let array = try bench.backend.array(noise, shape: [256])
    for (norm, applies) in [(0.4, 1), (0.5, 1), (.nan, 1), (0.4, 0)] as [(Float, Float)] {
      try bench.setGradient(values)
      try bench.decide([.norm: norm, .applies: applies])
      try bench.backend.addNoise(
        array, to: bench.gradients, whereNormBelow: 0.5, decision: bench.decision)
      let result = try Array(bench.backend.scalars(bench.gradients, as: Float.self).prefix(200))
      let isAdded = norm < 0.5 && applies == 1
      #expect(result == (isAdded ? zip(values, noise).map { $0 + $1 } : values))
    }
  }
}
