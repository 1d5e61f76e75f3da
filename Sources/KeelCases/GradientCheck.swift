internal import KeelBackend

/// The gradient of sum(w * f(x)) by central differences of the oracle in Double, w random.
struct GradientCheck {
  private let one: OperationCase
  private let inputs: [[Double]]
  private let weights: [Double]

  /// Elements differenced one by one, at most; random directions stand for the rest.
  private static let sampled = 20
  private static let directions = 3
  /// Small enough for the truncation error, large enough for the rounding error of Double.
  private static let step = 0x1p-18

  init(_ one: OperationCase, _ inputs: [[Double]]) {
    self.one = one
    self.inputs = inputs
    let count = one.oracle(inputs)[0].count
    weights = GradientCheck.weights(one, count: count).map(Double.init)
  }

  /// The fixed random weights in [-1, 1) that make one number of the first output.
  static func weights(_ one: OperationCase, count: Int) -> [Float] {
    var random = RandomSequence(CaseInput.key(id: one.id, position: 1000))
    return (0..<count).map { _ in 2 * random.nextUniform() - 1 }
  }

  /// Compares the gradients of a device, one per differentiable operand.
  func compare(_ gradients: [[Float]], _ comparison: inout Comparison) {
    guard gradients.count == one.differentiable.count else {
      comparison.fail("has \(gradients.count) gradients")
      return
    }
    for (gradient, position) in zip(gradients, one.differentiable) {
      guard gradient.count == inputs[position].count else {
        comparison.fail("gradient \(position) has \(gradient.count) elements")
        return
      }
      compareElements(gradient, position, &comparison)
      if gradient.count > GradientCheck.sampled {
        compareDirections(gradient, position, &comparison)
      }
    }
  }

  private var bound: Double { one.tolerance.gradientBound * one.condition }

  private func compareElements(
    _ gradient: [Float], _ position: Int, _ comparison: inout Comparison
  ) {
    let places = samples(gradient.count, position)
    let expected = places.map { place in
      let step = GradientCheck.step * max(1, abs(inputs[position][place]))
      return slope(position) { $0[place] += $1 * step } / step
    }
    // Relative to the norm: the largest element, of those differenced or of all the device gave.
    let largest = max(
      expected.reduce(0) { max($0, abs($1)) },
      gradient.reduce(0) { $1.isFinite ? max($0, Double(abs($1))) : $0 })
    var part = Comparison()
    for (place, value) in zip(places, expected) {
      part.add(
        "gradient \(position)[\(place)]", got: [gradient[place]], expected: [value],
        magnitudes: [max(largest, 1e-6)], bound: bound)
    }
    comparison.merge(part)
  }

  /// <gradient, d> for random d of ±1: sees every element at once.
  private func compareDirections(
    _ gradient: [Float], _ position: Int, _ comparison: inout Comparison
  ) {
    var random = RandomSequence(CaseInput.key(id: one.id, position: 2000 + position))
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    for _ in 0..<GradientCheck.directions {
      let direction = gradient.map { _ in random.nextWord() & 1 == 0 ? 1.0 : -1.0 }
      let expected = slope(position) { input, sign in
        for place in input.indices {
          input[place] += sign * GradientCheck.step * direction[place]
        }
      }
      var got = 0.0
      for place in gradient.indices { got += Double(gradient[place]) * direction[place] }
      var part = Comparison()
      part.add(
        "gradient \(position) along a random direction", got: [Float(got)],
        expected: [expected / GradientCheck.step], magnitudes: [max(norm, 1e-6)], bound: bound)
      comparison.merge(part)
    }
  }

  /// Half the difference of the weighted sum with the operand moved forth and back.
  private func slope(_ position: Int, _ move: (inout [Double], Double) -> Void) -> Double {
    var (forth, back) = (inputs, inputs)
    move(&forth[position], 1)
    move(&back[position], -1)
    let (high, low) = (one.oracle(forth)[0], one.oracle(back)[0])
    var sum = 0.0
    for place in weights.indices { sum += weights[place] * (high[place] - low[place]) }
    return sum / 2
  }

  /// All places of a small operand; of a large one the first, the last and random ones.
  private func samples(_ count: Int, _ position: Int) -> [Int] {
    guard count > GradientCheck.sampled else { return Array(0..<count) }
    var random = RandomSequence(CaseInput.key(id: one.id, position: 3000 + position))
    var places: Set<Int> = [0, count - 1]
    while places.count < GradientCheck.sampled {
      places.insert(Int(random.next(below: UInt32(count))))
    }
    return places.sorted()
  }
}
