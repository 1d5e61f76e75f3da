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
    .sparse(connections: 15, deviation: 2),
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

  @Test func everyColumnOfASparseMatrixHasItsConnections() {
    let matrix = values(.sparse(connections: 15, deviation: 0.5))
    var used = [Int](repeating: 0, count: 400)
    for column in 0..<300 {
      let rows = (0..<400).filter { matrix[$0 * 300 + column] != 0 }
      #expect(rows.count == 15)
      for row in rows { used[row] += 1 }
    }
    // Each row is as likely: 4500 draws over 400 rows, 11.25 ± 3.3.
    #expect(used.allSatisfy { (1...28).contains($0) })
    let few = values(.sparse(connections: 15), shape: [4, 10])
    #expect(few.allSatisfy { $0 != 0 })
  }

  @Test(arguments: [[5, 5], [3, 7], [7, 3]]) func identityIsOneOnTheDiagonal(_ extents: [Int]) {
    let matrix = Initializer.identity(gain: 2).values(
      shape: Shape(extents), fanIn: extents[0], fanOut: extents[1],
      key: RandomKey(seed: 1, .initialization))
    for i in matrix.indices { #expect(matrix[i] == (i / extents[1] == i % extents[1] ? 2 : 0)) }
  }

  @Test(arguments: TestDevices.all)
  func identityOfAConvolutionPassesTheImageOn(_ device: Device) throws {
    let pixels = (0..<120).map { Float($0) - 60.5 }
    let x = try Tensor(pixels, shape: [1, 5, 6, 4], on: device)
    for (kernel, groups) in [(3, 1), (2, 1), (5, 2), (3, 4)] {
      let layer = Conv2D(
        4, kernel: Size2D(kernel, kernel), padding: .same, groups: groups,
        initializer: .identity())
      let model = try Model(layer, input: [5, 6, 4], device: device)
      #expect(try model(x).scalars() == pixels, "kernel \(kernel), \(groups) groups")
    }
  }

  @Test func namesAreRead() throws {
    let known: [(String, Initializer)] = [
      ("zeros", .zeros), ("ones", .ones), ("constant:0.5", .constant(0.5)),
      ("uniform", .uniform(low: -0.05, high: 0.05)), ("uniform:-1:2", .uniform(low: -1, high: 2)),
      ("normal", .normal(mean: 0, deviation: 0.05)),
      ("normal:1:0.5", .normal(mean: 1, deviation: 0.5)),
      ("truncated-normal", .truncatedNormal(mean: 0, deviation: 0.05)),
      ("truncated-normal:0:1", .truncatedNormal(mean: 0, deviation: 1)),
      ("glorot-uniform", .glorotUniform), ("glorot-normal", .glorotNormal),
      ("he-uniform", .heUniform), ("he-normal", .heNormal), ("lecun-uniform", .lecunUniform),
      ("lecun-normal", .lecunNormal), ("orthogonal", .orthogonal()),
      ("orthogonal:1.5", .orthogonal(gain: 1.5)), ("identity", .identity()),
      ("identity:-2", .identity(gain: -2)), ("sparse", .sparse()),
      ("sparse:4:0.1", .sparse(connections: 4, deviation: 0.1)),
    ]
    for (text, initializer) in known { #expect(try Initializer(named: text) == initializer) }
    #expect(known.count >= Initializer.names.count)
    let unknown = [
      "", "he", "he-normal:2", "constant", "constant:", "constant:x", "constant:nan", "uniform:1",
      "sparse:1.5:1", "zeros:", "HE-NORMAL",
    ]
    for text in unknown {
      let error = sentence { _ = try Initializer(named: text) }
      #expect(error.contains("requires one of zeros, ones") && error.contains("'\(text)'"))
    }
    #expect(sentence { _ = try Initializer(named: "uniform:2:1") }.contains("low <= high"))
    #expect(sentence { _ = try Initializer(named: "normal:0:-1") }.contains("deviation"))
    #expect(sentence { _ = try Initializer(named: "sparse:0:1") }.contains("one connection"))
  }

  @Test func identityNeedsAMatrix() {
    let layer = Dense(3, biasInitializer: .identity())
    #expect(
      sentence { _ = try Model(layer, input: [3], device: .cpu) }.contains("two axes or more"))
  }

  /// The same bits as if the layers had been declared so; biases and frozen weights stay.
  @Test(arguments: TestDevices.all) func initializeReplacesTheWeights(_ device: Device) throws {
    func model(_ initializer: Initializer) throws -> Model {
      try Model(
        Sequential {
          Dense(20, initializer: initializer, biasInitializer: .normal(mean: 0, deviation: 1))
          Dense(8, initializer: initializer)
        }, input: [10], device: device, seed: 3)
    }
    let (declared, replaced) = (try model(.heNormal), try model(.glorotUniform))
    let frozen = try model(.glorotUniform)
    try replaced.initialize(.heNormal)
    for name in ["dense1.weight", "dense1.bias", "dense2.weight"] {
      #expect(try replaced.weights(named: name) == declared.weights(named: name))
    }
    #expect(replaced.initializer == .heNormal)
    #expect(replaced.initializationRecord?.initializers.count == 2)
    #expect(declared.initializationRecord == nil)

    try frozen.freeze("dense1")
    let kept = try frozen.weights(named: "dense1.weight")
    try frozen.initialize(.heNormal)
    #expect(try frozen.weights(named: "dense1.weight") == kept)
    try frozen.initialize(.ones, at: "dense2")
    #expect(try frozen.weights(named: "dense2.weight").allSatisfy { $0 == 1 })
    #expect(sentence { try frozen.initialize(.ones, at: "dense7") }.contains("dense7"))
    #expect(
      sentence { try frozen.initialize(.normal(mean: 0, deviation: -1)) }.contains("deviation"))
  }

  @Test func anotherSeedGivesOtherValues() throws {
    let models = try [1, 2].map { seed in
      try Model(Dense(8), input: [8], device: .cpu, seed: UInt64(seed))
    }
    #expect(try models[0].weights(named: "weight") != models[1].weights(named: "weight"))
  }
}
