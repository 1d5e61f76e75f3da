import Glibc
import KeelBackend
import KeelCPU
import Testing

/// Every elementary function against the C library's in Double, over the whole range of float32.
struct VectorMathTests {
  let cpu: CPUBackend

  init() throws { cpu = try CPUBackend() }

  /// Every 1531st bit pattern: all exponents, both signs, infinities and NaN.
  static let everywhere: [Float] =
    stride(from: UInt32(0), to: UInt32.max - 1531, by: 1531).map { Float(bitPattern: $0) }
    + [0, -0.0, 1, -1, .infinity, -.infinity, .nan, .leastNonzeroMagnitude]

  /// Even steps where a function is neither flat nor infinite.
  static let middle: [Float] = (-1_000_000...1_000_000).map { Float($0) * 1.05e-4 }

  func worst(_ expression: Expression, _ truth: (Double) -> Double) throws -> (Float, Double) {
    var worst: (Float, Double) = (0, 0)
    for input in [VectorMathTests.everywhere, VectorMathTests.middle] {
      let x = try cpu.floats(input, [input.count])
      let y = try cpu.empty([input.count])
      try cpu.pointwise(expression, [x], into: y)
      for (value, result) in zip(input, try cpu.values(y)) {
        let error = ulps(result, truth(Double(value)))
        if error > worst.1 { worst = (value, error) }
      }
    }
    return worst
  }

  @Test func exponential() throws {
    let worst = try worst(Expression.x.exp()) { Glibc.exp($0) }
    #expect(worst.1 <= 1.1, "at \(worst.0)")
  }

  @Test func exponentialLessOne() throws {
    let worst = try worst(Expression.x.expm1()) { Glibc.expm1($0) }
    #expect(worst.1 <= 2, "at \(worst.0)")
  }

  @Test func logarithm() throws {
    let worst = try worst(Expression.x.log()) { Glibc.log($0) }
    #expect(worst.1 <= 1, "at \(worst.0)")
  }

  @Test func logarithmOfOneMore() throws {
    let worst = try worst(Expression.x.log1p()) { Glibc.log1p($0) }
    #expect(worst.1 <= 2, "at \(worst.0)")
  }

  @Test func hyperbolicTangent() throws {
    let worst = try worst(Expression.x.tanh()) { Glibc.tanh($0) }
    #expect(worst.1 <= 3, "at \(worst.0)")
  }

  @Test func sigmoid() throws {
    // From the small side, so that the tail keeps its digits in Double too.
    let worst = try worst(Expression.x.sigmoid()) { x in
      x < 0 ? Glibc.exp(x) / (1 + Glibc.exp(x)) : 1 / (1 + Glibc.exp(-x))
    }
    #expect(worst.1 <= 3, "at \(worst.0)")
  }

  @Test func errorFunction() throws {
    let worst = try worst(Expression.x.erf()) { Glibc.erf($0) }
    #expect(worst.1 <= 2, "at \(worst.0)")
  }

  @Test func roots() throws {
    let root = try worst(Expression.x.sqrt()) { $0.squareRoot() }
    #expect(root.1 <= 0.5, "at \(root.0)")
    let reciprocal = try worst(Expression.x.reciprocal()) { 1 / $0 }
    #expect(reciprocal.1 <= 0.5, "at \(reciprocal.0)")
  }

  @Test func powersOfRandomPairs() throws {
    var sequence = RandomSequence(RandomKey(seed: 5, .user))
    let count = 400_000
    // Pairs whose power is neither 0 nor infinite, and pairs from everywhere.
    var bases: [Float] = []
    var exponents: [Float] = []
    for index in 0..<count {
      if index % 2 == 0 {
        let base = Glibc.expf((sequence.nextUniform() - 0.5) * 40)
        bases.append(base)
        exponents.append((sequence.nextUniform() - 0.5) * 160 / max(0.1, abs(Glibc.logf(base))))
      } else {
        bases.append(Float(bitPattern: sequence.nextWord()))
        exponents.append(Float(bitPattern: sequence.nextWord()))
      }
    }
    try expectPowers(bases, exponents, within: 1)
  }

  @Test func powersOfSpecialPairs() throws {
    let special: [Float] = [
      0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, -1.5, 1e30, -1e30, 0x1p-140, 0x1p23, 0x1p24,
      0x1.000002p23, .infinity, -.infinity, .nan, .greatestFiniteMagnitude,
      .leastNonzeroMagnitude,
    ]
    try expectPowers(
      special.flatMap { base in special.map { _ in base } },
      special.flatMap { _ in special }, within: 1)
  }

  func expectPowers(_ bases: [Float], _ exponents: [Float], within limit: Double) throws {
    let x = try cpu.floats(bases, [bases.count])
    let y = try cpu.floats(exponents, [bases.count])
    let power = try cpu.empty([bases.count])
    try cpu.pointwise(Expression.x.power(.y), [x, y], into: power)
    var worst = (0.0, 0)
    for (index, result) in try cpu.values(power).enumerated() {
      let truth = Glibc.pow(Double(bases[index]), Double(exponents[index]))
      let error = ulps(result, truth)
      if error > worst.0 { worst = (error, index) }
      #expect(result.isNaN || (result.sign == truth.sign))
    }
    #expect(worst.0 <= limit, "at \(bases[worst.1]) ^ \(exponents[worst.1])")
  }
}
