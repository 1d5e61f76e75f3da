import Keel
import KeelBackend
import KeelNN
import Testing

@Suite struct InitializerTests {
  private static let shape: Shape = [400, 300]
  private static let all: [Initializer] = [
    .uniform(low: -0.5, high: 1.5), .normal(mean: 2, deviation: 0.3),
    .truncatedNormal(mean: -1, deviation: 0.2), .glorotUniform, .glorotNormal, .heUniform,
    .heNormal, .lecunUniform, .lecunNormal,
    .varianceScaling(scale: 3, mode: .fanOut, distribution: .normal),
  ]

  private func values(_ initializer: Initializer, shape: Shape = Self.shape) -> [Double] {
    initializer.values(
      shape: shape, fanIn: 400, fanOut: 300,
      key: RandomKey(seed: 11, .initialization, index: 3)
    ).map(Double.init)
  }

  private func moments(_ values: [Double]) -> (mean: Double, deviation: Double) {
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, (squares / Double(values.count)).squareRoot())
  }

  /// 120 000 values: the mean lies within 5 σ / sqrt(n), the deviation within 1 %.
  @Test(arguments: all) func momentsAreTheClosedForm(_ initializer: Initializer) {
    let expected = initializer.expectedDeviation(shape: Self.shape, fanIn: 400, fanOut: 300)
    let found = moments(values(initializer))
    let mean: Double =
      switch initializer {
      case .uniform(let low, let high): Double(low + high) / 2
      case .normal(let mean, _), .truncatedNormal(let mean, _): Double(mean)
      default: 0
      }
    let count = Double(Self.shape.count)
    #expect(abs(found.mean - mean) < 5 * expected / count.squareRoot())
    #expect(abs(found.deviation / expected - 1) < 0.01)
  }

  @Test func knownDeviations() {
    func deviation(_ initializer: Initializer) -> Double {
      initializer.expectedDeviation(shape: [400, 300], fanIn: 400, fanOut: 300)
    }
    #expect(abs(deviation(.glorotUniform) - (2.0 / 700).squareRoot()) < 1e-12)
    #expect(abs(deviation(.heNormal) - (2.0 / 400).squareRoot()) < 1e-12)
    #expect(abs(deviation(.lecunUniform) - 0.05) < 1e-12)
    #expect(deviation(.zeros) == 0)
    #expect(abs(deviation(.orthogonal(gain: 2)) - 0.1) < 1e-12)
  }

  @Test func truncatedNormalEndsAtTwoParentDeviations() {
    let limit = 2 * 0.2 / truncatedDeviation
    let all = values(.truncatedNormal(mean: -1, deviation: 0.2))
    #expect(all.allSatisfy { abs($0 + 1) <= limit * (1 + 1e-6) })
    #expect(all.contains { abs($0 + 1) > limit * 0.98 })
  }

  @Test func uniformStaysInItsBounds() {
    let limit = (6.0 / 700).squareRoot()
    #expect(values(.glorotUniform).allSatisfy { abs($0) <= limit * (1 + 1e-6) })
  }

  @Test(arguments: [[40, 40], [90, 30], [30, 90], [3, 3, 8, 16], [1, 5], [5, 1]])
  func orthogonalIsOrthonormal(_ extents: [Int]) {
    let matrix = values(.orthogonal(), shape: Shape(extents))
    let columns = extents[extents.count - 1]
    let rows = matrix.count / columns
    let isTall = rows >= columns
    let (few, many) = (min(rows, columns), max(rows, columns))
    func element(_ vector: Int, _ i: Int) -> Double {
      isTall ? matrix[i * columns + vector] : matrix[vector * columns + i]
    }
    var worst = 0.0
    for left in 0..<few {
      for right in 0..<few {
        var product = 0.0
        for i in 0..<many { product += element(left, i) * element(right, i) }
        worst = max(worst, abs(product - (left == right ? 1 : 0)))
      }
    }
    #expect(worst < 1e-5)
  }

  @Test func signsOfAnOrthogonalMatrixAreFair() {
    // Without the correction by the signs of R the diagonal would be negative throughout.
    let matrix = values(.orthogonal(), shape: [200, 200])
    let positive = (0..<200).count { matrix[$0 * 200 + $0] > 0 }
    #expect((70...130).contains(positive))
  }

  @Test func firstValuesAreTheSameBitsOnEveryDevice() throws {
    let bits = try TestDevices.all.map { device in
      let network = Sequential {
        Conv2D(4, kernel: 3, initializer: .heNormal)
        Flatten()
        Dense(16, initializer: .orthogonal())
        Dense(3, initializer: .truncatedNormal(mean: 0, deviation: 1))
      }
      let model = try Model(network, input: [6, 6, 2], device: device, seed: 5)
      return try model.parameters.map { try model.weights(named: $0.name).map(\.bitPattern) }
    }
    for other in bits.dropFirst() { #expect(other == bits[0]) }
    #expect(Set(bits[0].map(\.hashValue)).count > 3)
  }

  @Test func anotherSeedGivesOtherValues() throws {
    let models = try [1, 2].map { seed in
      try Model(Dense(8), input: [8], device: .cpu, seed: UInt64(seed))
    }
    #expect(try models[0].weights(named: "weight") != models[1].weights(named: "weight"))
  }
}
