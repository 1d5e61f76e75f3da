import Glibc
import KeelBackend
import KeelData
import Testing

/// The distributions of the random steps, and the numbers beneath them.
@Suite struct AugmentationRangeTests {
  /// What the steps make of one image over many epochs.
  private static func outcomes(
    _ step: Augmentation.Step, _ image: [Float], height: Int, width: Int, epochs: Int
  ) throws -> [[Float]] {
    let data = try Dataset(
      features: image, extents: [height, width, 1], labels: [0], classCount: 1)
    let loader = try BatchLoader(
      data, batchSize: 1, augmentation: Augmentation(step), augmentationSeed: 11)
    return (0..<epochs).map {
      loader.batch(at: BatchPosition(epoch: $0)).features.normalized
    }
  }

  /// Mean and variance.
  private static func moments(_ values: [Double]) -> (mean: Double, variance: Double) {
    let mean = values.reduce(0, +) / Double(values.count)
    return (mean, values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count))
  }

  /// Uniform within a range: ends, mean within four standard errors, variance within a tenth.
  private static func expectUniform(
    _ values: [Double], _ range: ClosedRange<Double>, within tolerance: Double = 1e-6,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let width = range.upperBound - range.lowerBound
    let (mean, variance) = moments(values)
    let error = width / (12 * Double(values.count)).squareRoot()
    let least = (values.min() ?? 0) - range.lowerBound
    let greatest = range.upperBound - (values.max() ?? 0)
    #expect(least > -tolerance && least < width / 20, sourceLocation: sourceLocation)
    #expect(greatest > -tolerance && greatest < width / 20, sourceLocation: sourceLocation)
    #expect(
      abs(mean - (range.lowerBound + width / 2)) < 4 * error + tolerance,
      sourceLocation: sourceLocation)
    #expect(abs(variance / (width * width / 12) - 1) < 0.1, sourceLocation: sourceLocation)
  }

  /// Chi-squared of counts that should be equal.
  private static func statistic(_ counts: [Int]) -> Double {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    return counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
  }

  @Test(arguments: [Augmentation.Step.shift(2), .crop(padding: 2)])
  func everyOffsetIsEquallyLikely(step: Augmentation.Step) throws {
    var dot = [Float](repeating: 0, count: 49)
    dot[24] = 1
    var counts = [Int](repeating: 0, count: 49)
    for image in try Self.outcomes(step, dot, height: 7, width: 7, epochs: 5000) {
      counts[try #require(image.firstIndex(of: 1))] += 1
    }
    let reached = counts.indices.filter { counts[$0] > 0 }
    #expect(reached.allSatisfy { abs($0 / 7 - 3) <= 2 && abs($0 % 7 - 3) <= 2 })
    #expect(reached.count == 25)
    // 24 degrees of freedom: 51.2 is exceeded by chance once in a thousand.
    #expect(Self.statistic(reached.map { counts[$0] }) < 51.2)
  }

  @Test func rowsAndColumnsHaveTheirOwnLimits() throws {
    var dot = [Float](repeating: 0, count: 49)
    dot[24] = 1
    let step = Augmentation.Step.shift(columns: 1, rows: 0)
    let places = try Self.outcomes(step, dot, height: 7, width: 7, epochs: 200)
      .map { try #require($0.firstIndex(of: 1)) }
    #expect(Set(places) == [23, 24, 25])
  }

  @Test func flipsHappenAsOftenAsAsked() throws {
    for (probability, expected) in [(0.5, 1000.0), (0.1, 200), (1, 2000)] {
      let images = try Self.outcomes(
        .flip(.horizontal, probability: probability), [0, 1], height: 1, width: 2, epochs: 2000)
      let count = Double(images.count { $0 == [1, 0] })
      let deviation = (2000 * probability * (1 - probability)).squareRoot()
      #expect(abs(count - expected) <= 4 * deviation)
    }
  }

  @Test func lightIsAddedEvenly() throws {
    let images = try Self.outcomes(
      .brightness(0.2), [0.5, 0.4, 0.6, 0.5], height: 2, width: 2, epochs: 3000)
    for image in images { #expect(abs((image[2] - image[1]) - 0.2) < 1e-6) }
    Self.expectUniform(images.map { Double($0[0]) }, 0.3...0.7)
    let bright = try Self.outcomes(.brightness(1), [0.9, 0.1], height: 1, width: 2, epochs: 200)
    #expect(bright.joined().allSatisfy { (0...1).contains($0) })
    #expect(bright.contains { $0[0] == 1 && $0[1] < 1 })
  }

  @Test func contrastStretchesAboutTheMean() throws {
    let images = try Self.outcomes(
      .contrast(0.6...1.4), [0.3, 0.5, 0.7], height: 1, width: 3, epochs: 3000)
    for image in images { #expect(abs(image[1] - 0.5) < 1e-6) }
    Self.expectUniform(images.map { Double($0[2] - $0[0]) / 0.4 }, 0.6...1.4)
  }

  /// A disc beside the middle shows the angle by its centre of mass.
  @Test func anglesAndFactorsAreEven() throws {
    let side = 33
    let disc = (0..<(side * side)).map { place -> Float in
      let (row, column) = (place / side - 16, place % side - 24)
      return row * row + column * column <= 9 ? 1 : 0
    }
    func centres(_ step: Augmentation.Step) throws -> [(x: Double, y: Double)] {
      try Self.outcomes(step, disc, height: side, width: side, epochs: 600).map { image in
        var (x, y, mass) = (0.0, 0.0, 0.0)
        for (place, value) in image.enumerated() {
          x += Double(value) * Double(place % side - 16)
          y += Double(value) * Double(16 - place / side)
          mass += Double(value)
        }
        return (x / mass, y / mass)
      }
    }
    let turned = try centres(.rotate(degrees: 20)).map { atan2($0.y, $0.x) * 180 / Double.pi }
    Self.expectUniform(turned, -20...20, within: 0.3)
    let zoomed = try centres(.zoom(0.7...1.3)).map { $0.x / 8 }
    Self.expectUniform(zoomed, 0.7...1.3, within: 0.02)
  }

  @Test func noiseIsNormal() throws {
    let grey = [Float](repeating: 0.5, count: 400)
    let values = try Self.outcomes(
      .noise(deviation: 0.1), grey, height: 20, width: 20, epochs: 100
    ).joined().map { (Double($0) - 0.5) / 0.1 }
    let (mean, variance) = Self.moments(values)
    // 40,000 numbers: standard errors 0.005 and 0.007.
    #expect(abs(mean) < 0.02 && abs(variance - 1) < 0.03)
    let kurtosis = values.map { ($0 * $0) * ($0 * $0) }.reduce(0, +) / 40_000
    #expect(abs(kurtosis - 3) < 0.2)
    let within = Double(values.count { abs($0) < 1 }) / 40_000
    #expect(abs(within - 0.6827) < 0.01)
  }

  @Test func stepsHappenWithTheirProbability() throws {
    let step = Augmentation.Step(.brightness(0.4), probability: 0.3)
    let images = try Self.outcomes(step, [0.5], height: 1, width: 1, epochs: 2000)
    let count = images.count { $0 != [0.5] }
    #expect(abs(Double(count) - 600) < 4 * 20.5)
  }

  @Test(arguments: [0.2, 1, 4]) func sharesFollowTheBetaDistribution(alpha: Double) {
    var random = RandomSequence(RandomKey(seed: 2, .user))
    let values = (0..<20_000).map { _ in random.nextBeta(alpha) }
    #expect(values.allSatisfy { (0...1).contains($0) })
    let (mean, variance) = Self.moments(values)
    let expected = 1 / (4 * (2 * alpha + 1))
    #expect(abs(mean - 0.5) < 4 * (expected / 20_000).squareRoot())
    #expect(abs(variance / expected - 1) < 0.04)
    // Beta(1, 1) is uniform.
    if alpha == 1 { Self.expectUniform(values, 0...1) }
  }

  @Test func functionsAgreeWithTheLibrary() {
    for place in -3000...3000 {
      let x = Double(place) * 0.237
      let (sine, cosine) = RepeatableMath.sineAndCosine(degrees: x)
      #expect(abs(sine - sin(x * Double.pi / 180)) < 3e-13)
      #expect(abs(cosine - cos(x * Double.pi / 180)) < 3e-13)
      #expect(abs(sine * sine + cosine * cosine - 1) < 1e-15)
      let power = RepeatableMath.exponential(x)
      #expect(power == exp(x) || abs(power / exp(x) - 1) < 2e-15)
    }
    for place in 1...3000 {
      for x in [Double(place) * 0.013, Double(place) * 1e-300, Double(place) * 1e300] {
        let expected = log(x)
        #expect(abs(RepeatableMath.logarithm(x) - expected) <= 4 * expected.ulp + 2e-16)
      }
    }
    #expect(RepeatableMath.sineAndCosine(degrees: 270) == (-1, 0))
    #expect(RepeatableMath.exponential(0) == 1 && RepeatableMath.logarithm(1) == 0)
    #expect(RepeatableMath.exponential(-.infinity) == 0)
    #expect(RepeatableMath.exponential(.infinity) == .infinity)
    #expect(RepeatableMath.exponential(.nan).isNaN)
  }
}
