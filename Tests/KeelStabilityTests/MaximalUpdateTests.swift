import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

@Suite struct MaximalUpdateTests {
  private func model(_ width: Int, _ device: Device = .cpu) throws(TensorError) -> Model {
    try Model(
      Sequential {
        Dense(width, activation: .relu, initializer: .lecunNormal)
        Dense(width, activation: .relu, initializer: .lecunNormal)
        Dense(width, activation: .relu, initializer: .lecunNormal)
        Dense(4, initializer: .lecunNormal)
      }, input: [16], device: device, seed: 2)
  }

  private func batch(_ device: Device) throws -> (Tensor, Tensor) {
    let key = RandomKey(seed: 4, .user)
    let numbers = RandomDistribution.normal(mean: 0, deviation: 1).values(16 * 16, key: key)
    return (
      try Tensor(numbers, shape: [16, 16], on: device),
      try Tensor((0..<16).map { Int32($0 % 4) }, shape: [16], on: device)
    )
  }

  /// The size of activations after some steps of Adam: flat in muP, growing otherwise.
  @Test func coordinateCheck() throws {
    let (x, labels) = try batch(.cpu)
    func check(isMuP: Bool) throws -> CoordinateCheck {
      try CoordinateCheck(
        widths: [64, 128, 256, 512, 1024], steps: 4, optimizer: .adam(learningRate: 0.01),
        loss: .softmaxCrossEntropy(), on: x, labels
      ) { (width) throws(TensorError) in
        let model = try model(width)
        if isMuP { try model.initializeMuP(base: self.model(64), for: .adam()) }
        return model
      }
    }
    let flat = try check(isMuP: true)
    let growing = try check(isMuP: false)
    #expect(flat.layers == ["dense1", "dense2", "dense3", "dense4"])
    for layer in flat.layers.indices {
      #expect(abs(flat.slope(of: layer)) < 0.1, "\(flat.layers[layer]): \(flat.rms[layer])")
    }
    #expect(growing.slope(of: 2) > 0.25, "\(growing.rms[2])")
    #expect(growing.slope(of: 3) > 0.5, "\(growing.rms[3])")
  }

  @Test func rolesVariancesAndRates() throws {
    let (base, wide) = (try model(64), try model(256))
    let adam = try wide.initializeMuP(base: base, for: .adamW(), zerosOutput: false).entries
    #expect(
      adam.map(\.role) == [.input, .vector, .hidden, .vector, .hidden, .vector, .output, .vector])
    #expect(adam.map(\.learningRateScale) == [1, 1, 0.25, 1, 0.25, 1, 0.25, 1])
    // 1/16, 1/256 and 1/256 * 64/256.
    let variances = adam.filter { $0.role != .vector }.map { $0.deviation * $0.deviation }
    for (found, expected) in zip(variances, [1.0 / 16, 1.0 / 256, 1.0 / 256, 1.0 / 1024]) {
      #expect(abs(found / expected - 1) < 1e-6)
    }
    for (entry, parameter) in zip(adam, wide.parameters) where entry.role != .vector {
      let values = try wide.weights(named: entry.name).map(Double.init)
      let square = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
      let error = square / (entry.deviation * entry.deviation) - 1
      let standardError = (2 / Double(values.count)).squareRoot()
      #expect(abs(error) < 4 * standardError)
      #expect(parameter.learningRateScale == entry.learningRateScale)
    }
    let descent = try wide.initializeMuP(base: base, for: .sgd(learningRate: 1)).entries
    #expect(descent.map(\.learningRateScale) == [4, 4, 1, 4, 1, 4, 0.25, 1])
    #expect(try wide.weights(named: "dense4.weight").allSatisfy { $0 == 0 })
    #expect(base.initializationRecord == nil)
    let same = try base.initializeMuP(base: model(64), for: .adam()).entries
    #expect(same.allSatisfy { $0.learningRateScale == 1 && $0.role != .hidden })
    #expect(same[6].role == .output && same[6].deviation == 0)
  }

  /// The scale is that of the step: exactly a quarter with a power of two.
  @Test(arguments: TestDevices.all)
  func learningRateScalesReachTheWeights(_ device: Device) throws {
    let (plain, scaled) = (try model(8, device), try model(8, device))
    try scaled.setLearningRateScale(0.25, at: "dense2")
    let (x, labels) = try batch(device)
    let first = try plain.parameters.map { try plain.weights(named: $0.name) }
    for model in [plain, scaled] {
      _ = try model.valueAndGradient { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(model(x, pass), labels)
      }
      try Updater(.sgd(learningRate: 0.5), for: model).update()
    }
    for (number, parameter) in plain.parameters.enumerated() {
      let (one, other) = (
        try plain.weights(named: parameter.name), try scaled.weights(named: parameter.name)
      )
      if parameter.name.hasPrefix("dense2") {
        #expect(one != other)
        for i in one.indices {
          let (step, quarter) = (one[i] - first[number][i], other[i] - first[number][i])
          #expect(abs(quarter - step / 4) <= 2e-7)
        }
      } else {
        #expect(one == other)
      }
    }
    for scale in [0, -1, .nan, .infinity] as [Float] {
      #expect(
        sentence { try scaled.setLearningRateScale(scale, at: "dense2") }.contains("above 0"))
    }
    // Freezing and thawing keeps the scale; a record of it makes another model the same.
    try scaled.freeze("dense2")
    try scaled.unfreeze("dense2")
    let record = try #require(scaled.initializationRecord)
    #expect(record.learningRateScales == ["dense2.weight": 0.25, "dense2.bias": 0.25])
    let other = try model(8, device)
    try other.adopt(record)
    let scales: [Float] = try device.backend.scalars(other.arena.scales)
    #expect(try scales == device.backend.scalars(scaled.arena.scales))
    #expect(scales.contains(0.25))
  }

  @Test func mistakesAreRefused() throws {
    let model = try model(8)
    let other = try Model(Models.mlp(hidden: [4], classes: 4), input: [16], device: .cpu)
    let before = try model.weights(named: "dense1.weight")
    #expect(sentence { try model.initializeMuP(base: other, for: .adam()) }.contains("base model"))
    #expect(try model.weights(named: "dense1.weight") == before)
    let (x, labels) = try batch(.cpu)
    for widths in [[], [4], [8, 4]] {
      let error = sentence {
        _ = try CoordinateCheck(
          widths: widths, steps: 1, optimizer: .adam(), loss: .softmaxCrossEntropy(), on: x, labels
        ) { (width) throws(TensorError) in try self.model(width) }
      }
      #expect(error.contains("ascending widths"))
    }
  }
}
