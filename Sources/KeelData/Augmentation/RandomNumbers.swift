package import KeelBackend

/// Draws of augmentation, the same on every machine.
extension RandomSequence {
  /// The next number in 0 ..< 1: a word times 2^-32.
  package mutating func nextFraction() -> Double { Double(nextWord()) * 0x1p-32 }

  /// The next number of a range, evenly.
  package mutating func next(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * nextFraction()
  }

  /// The next whole number in -limit ... limit, without bias.
  package mutating func next(within limit: Int) -> Int {
    limit == 0 ? 0 : Int(next(below: UInt32(2 * limit + 1))) - limit
  }

  /// Whether something of this probability happens; certain things draw nothing.
  package mutating func happens(_ probability: Double) -> Bool {
    probability >= 1 || nextFraction() < probability
  }

  /// Two independent normal numbers of mean 0 and deviation 1 (Box and Muller, 1958).
  package mutating func nextNormals() -> (Double, Double) {
    // 0 < u <= 1, so that the logarithm is finite.
    let u = (Double(nextWord()) + 1) * 0x1p-32
    let radius = (-2 * RepeatableMath.logarithm(u)).squareRoot()
    let turn = RepeatableMath.sineAndCosine(degrees: 360 * nextFraction())
    return (radius * turn.cosine, radius * turn.sine)
  }

  /// The logarithm of a gamma variate of this shape and scale 1 (Marsaglia and Tsang, 2000); the
  /// logarithm because tiny shapes give numbers below the smallest.
  private mutating func nextLogGamma(shape: Double) -> Double {
    // Gamma(a) = Gamma(a + 1) * U^(1/a) reaches the shapes below 1.
    var boost = 0.0
    if shape < 1 {
      boost = RepeatableMath.logarithm((Double(nextWord()) + 1) * 0x1p-32) / shape
    }
    let d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let normal = nextNormals().0
      let root = 1 + c * normal
      guard root > 0 else { continue }
      let cube = root * root * root
      let logUniform = RepeatableMath.logarithm((Double(nextWord()) + 1) * 0x1p-32)
      let logCube = RepeatableMath.logarithm(cube)
      if logUniform < 0.5 * normal * normal + d - d * cube + d * logCube {
        return RepeatableMath.logarithm(d) + logCube + boost
      }
    }
  }

  /// A number in 0 ... 1 of the distribution Beta(shape, shape).
  package mutating func nextBeta(_ shape: Double) -> Double {
    let (first, second) = (nextLogGamma(shape: shape), nextLogGamma(shape: shape))
    return 1 / (1 + RepeatableMath.exponential(second - first))
  }
}
