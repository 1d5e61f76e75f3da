import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct NetworkTests {
  @Test func resNet18HasTheKnownShapesAndCounts() throws {
    let model = try Model(.resNet18(classes: 10), input: [32, 32, 3], device: .cpu, seed: 1)
    #expect(model.parameterCount == 11_173_962)
    let outputs = Dictionary(uniqueKeysWithValues: model.layers.map { ($0.name, $0.output) })
    #expect(outputs["conv1"] == [32, 32, 64])
    #expect(outputs["stage1.block2.conv2"] == [32, 32, 64])
    #expect(outputs["stage2.block1.conv1"] == [16, 16, 128])
    #expect(outputs["stage2.block1.shortcut.conv1"] == [16, 16, 128])
    #expect(outputs["stage4.block2.batchnorm2"] == [4, 4, 512])
    #expect(model.layers.count { $0.kind == "Conv2D" } == 20)
    #expect(!model.layers.contains { $0.name.hasPrefix("stage1.block1.shortcut") })
  }

  /// Other norms: one step forward and backward reaches every parameter.
  @Test(arguments: [NetworkNorm.group, .none])
  func resNet18ComputesWithOtherNorms(_ norm: NetworkNorm) throws {
    let model = try Model(
      .resNet18(classes: 3, norm: norm), input: [4, 4, 1], device: .cpu, seed: 1)
    let kinds = Set(model.layers.map(\.kind))
    #expect(kinds.contains("GroupNorm") == (norm == .group))
    #expect(!kinds.contains("BatchNorm"))
    let x = try Tensor(pattern(2 * 16), shape: [2, 4, 4, 1], on: .cpu)
    let labels = try Tensor([0, 2] as [Int32], shape: [2], on: .cpu)
    let loss = try model.valueAndGradient { (pass) throws(TensorError) in
      try model(x, pass).softmaxCrossEntropy(labels: labels)
    }
    #expect(try loss.item().isFinite)
    for parameter in model.parameters where parameter.shape.rank > 1 {
      let gradient = try #require(parameter.gradient).scalars()
      #expect(gradient.contains { $0 != 0 }, "\(parameter.name)")
    }
  }

  /// Counts from the definition: weights of convolutions, two numbers per normalised channel.
  private func count(depth: Int, growth: Int, keep: Double, inputs: Int, classes: Int) -> Int {
    let layers = (depth - 4) / 6
    var channels = 2 * growth
    var total = 9 * inputs * channels
    for block in 0..<3 {
      for layer in 0..<layers {
        let seen = channels + layer * growth
        total += 2 * seen + seen * 4 * growth + 2 * 4 * growth + 9 * 4 * growth * growth
      }
      channels += layers * growth
      if block < 2 {
        let kept = Int(keep * Double(channels))
        total += 2 * channels + channels * kept
        channels = kept
      }
    }
    return total + 2 * channels + channels * classes + classes
  }

  @Test(arguments: [(40, 12, 0.5), (22, 8, 0.5), (10, 5, 1.0), (16, 7, 0.3)])
  func denseNetHasTheCountsOfItsFormula(_ depth: Int, _ growth: Int, _ keep: Double) throws {
    let network = Models.denseNet(
      depth: depth, growth: growth, compression: Float(keep), classes: 10)
    let model = try Model(network, input: [32, 32, 3], device: .cpu, seed: 1)
    #expect(
      model.parameterCount
        == count(depth: depth, growth: growth, keep: keep, inputs: 3, classes: 10))
    // Convolutions and the dense layer: the depth by which the network is known.
    let weighted = model.layers.count { $0.kind == "Conv2D" || $0.kind == "Dense" }
    #expect(weighted == depth)
    #expect(model.outputShape == [10])
    #expect(model.layers.contains { $0.name == "block3.layer1.conv2" && $0.output[0] == 8 })
  }

  @Test func denseNet100IsAsLargeAsPublished() throws {
    let model = try Model(
      .denseNet(depth: 100, growth: 12, classes: 10), input: [32, 32, 3], device: .cpu, seed: 1)
    // The paper says 0.8 million.
    #expect(model.parameterCount == 769_162)
  }

  @Test func networksRefuseOptionsThatMakeNone() {
    func refusal(_ network: Sequential) -> String {
      sentence { _ = try Model(network, input: [8, 8, 1], device: .cpu) }
    }
    #expect(
      refusal(Models.denseNet(depth: 41, classes: 10))
        == "denseNet: requires a depth of 6 n + 4, at least 10, such as 40 or 100, got 41")
    #expect(refusal(Models.denseNet(depth: .min, classes: 10)).contains("a depth of 6 n + 4"))
    #expect(refusal(Models.denseNet(growth: 0, classes: 10)).contains("a growth of 1"))
    #expect(
      refusal(Models.denseNet(compression: .nan, classes: 10)).contains("compression above 0"))
    #expect(refusal(Models.deepRelu(depth: 0, width: 4, classes: 2)).contains("a depth of at"))
  }

  @Test func deepReluIsPlain() throws {
    let model = try Model(
      Models.deepRelu(depth: 50, width: 16, classes: 4), input: [16], device: .cpu, seed: 5)
    #expect(model.parameters.count == 2 * 51)
    #expect(model.layers.allSatisfy { ["Flatten", "Dense"].contains($0.kind) })
    let x = try Tensor(pattern(16 * 16), shape: [16, 16], on: .cpu)
    let sane = try model(x).scalars().map { abs($0) }.max() ?? 0
    #expect(sane > 1e-6 && sane < 1e6)
    // Each layer three times as strong: the signal grows by 3^50.
    for parameter in model.parameters where parameter.name.hasSuffix("weight") {
      try model.setWeights(
        model.weights(named: parameter.name).map { 3 * $0 }, named: parameter.name)
    }
    let large = try model(x).scalars().map { abs($0) }.max() ?? 0
    #expect(large > 1e15)
  }
}
