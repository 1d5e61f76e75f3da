import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct BatchNormFoldingTests {
  /// A model whose normalisations have seen batches and whose gamma and beta are not 1 and 0.
  private func trained(_ network: Sequential, _ input: Shape, on device: Device) throws -> Model {
    let model = try Model(network, input: input, device: device, seed: 3)
    for (number, parameter) in model.parameters.enumerated() where parameter.shape.rank == 1 {
      try model.setWeights(
        pattern(parameter.shape.count, center: 0.4, scale: 0.8, phase: number),
        named: parameter.name)
    }
    var batches: [Tensor] = []
    for phase in 0..<2 {
      batches.append(try batch(input, 6, phase, device))
    }
    try model.calibrateBatchNorm(batches)
    return model
  }

  private func batch(
    _ input: Shape, _ count: Int, _ phase: Int, _ device: Device
  ) throws -> Tensor {
    try Tensor(
      pattern(count * input.count, center: 0.3, phase: phase),
      shape: Shape([count] + input.extents), on: device)
  }

  private func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).map { abs($0 - $1) / max(1, abs($0)) }.max() ?? .infinity
  }

  private var network: Sequential {
    Sequential {
      Conv2D(6, kernel: 3, groups: 2, usesBias: false)
      BatchNorm(activation: .leakyRelu(slope: 0.1))
      Conv2D(4, kernel: 2).named("second")
      BatchNorm(epsilon: 1e-5)
      Relu()
      Flatten()
      Dense(5)
      BatchNorm(activation: .tanh)
      Dense(3, activation: .relu)
      BatchNorm()
    }
  }

  @Test(arguments: TestDevices.all) func foldedComputesTheSame(_ device: Device) throws {
    let model = try trained(network, [5, 5, 2], on: device)
    let x = try batch([5, 5, 2], 4, 9, device)
    let before = try model(x).scalars()
    let weight = try model.weights(named: "conv1.weight")
    let scale = try model.weights(named: "batchnorm1.gamma")
    let variance = try model.weights(named: "batchnorm1.running_variance")
    let folds = try model.foldBatchNorm()
    #expect(folds.map(\.layer) == ["batchnorm1", "batchnorm2", "batchnorm3", "batchnorm4"])
    #expect(folds.map(\.into) == ["conv1", "second", "dense1", nil])
    #expect(folds[3].reason == "dense2 applies relu before it")
    #expect(largestDifference(before, try model(x).scalars()) < 1e-5)
    // The formula of the weights, and what is left of the normalisation.
    let folded = try model.weights(named: "conv1.weight")
    for i in weight.indices {
      let factor = scale[i % 6] / (variance[i % 6] + 1e-3).squareRoot()
      #expect(abs(folded[i] - weight[i] * factor) <= 1e-6 * abs(weight[i] * factor))
    }
    #expect(try model.weights(named: "batchnorm2.beta") == [0, 0, 0, 0])
    #expect(try model.weights(named: "batchnorm1.gamma") == [Float](repeating: 1, count: 6))
    // The same parameters in a model that is not folded.
    let other = try Model(network, input: [5, 5, 2], device: device, seed: 8)
    for name in model.parameters.map(\.name) + model.states.map(\.name) {
      try other.setWeights(model.weights(named: name), named: name)
    }
    #expect(largestDifference(before, try other(x).scalars()) < 1e-5)
    // Nothing more to fold but what had to stay.
    #expect(try model.foldBatchNorm().map(\.layer) == ["batchnorm4"])
  }

  @Test func foldedModelsTrainOn() throws {
    let model = try trained(network, [5, 5, 2], on: .cpu)
    try model.foldBatchNorm()
    #expect(
      model.parameters.filter { !$0.isTrainable }.map(\.name) == [
        "batchnorm1.gamma", "batchnorm2.gamma", "batchnorm2.beta", "batchnorm3.gamma",
        "batchnorm3.beta",
      ])
    let x = try batch([5, 5, 2], 4, 9, .cpu)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
    let shift = try #require(model.parameters.first { $0.name == "batchnorm1.beta" }?.gradient)
    #expect(try shift.scalars().contains { $0 != 0 })
    #expect(try model.weights(named: "batchnorm1.running_mean") == [Float](repeating: 0, count: 6))
  }

  @Test(arguments: TestDevices.all) func residualNetworksFoldWhole(_ device: Device) throws {
    func conv(_ filters: Int, _ stride: Size2D = 1) -> Conv2D {
      Conv2D(filters, stride: stride, padding: .same, usesBias: false)
    }
    let network = Sequential {
      conv(4)
      BatchNorm(activation: .relu)
      Residual(activation: .relu) {
        conv(6, 2)
        BatchNorm(activation: .relu)
        conv(6)
        BatchNorm()
      } shortcut: {
        Conv2D(6, kernel: 1, stride: 2, usesBias: false)
        BatchNorm()
      }
      GlobalAvgPool2D()
      Dense(3)
    }
    let model = try trained(network, [6, 6, 2], on: device)
    let x = try batch([6, 6, 2], 3, 5, device)
    let before = try model(x).scalars()
    let folds = try model.foldBatchNorm()
    #expect(
      folds.map(\.into) == [
        "conv1", "residual1.conv1", "residual1.conv2", "residual1.shortcut.conv1",
      ])
    #expect(largestDifference(before, try model(x).scalars()) < 1e-5)
  }

  @Test func whatCannotFoldStaysAndSaysWhy() throws {
    let model = try trained(
      Sequential {
        BatchNorm()
        Conv2D(2)
        MaxPool2D(2)
        BatchNorm()
      }, [6, 6, 1], on: .cpu)
    let folds = try model.foldBatchNorm()
    #expect(folds.map(\.into) == [nil, nil])
    #expect(folds[0].reason == "nothing comes directly before it within its Sequential")
    #expect(folds[1].reason == "maxpool1 (MaxPool2D) is no convolution or dense layer")
  }

  @Test func foldingThatOverflowsChangesNothing() throws {
    let model = try Model(
      Sequential {
        Dense(2)
        BatchNorm(epsilon: 1e-30)
      }, input: [2], device: .cpu, seed: 1)
    try model.setWeights([1e30, 1], named: "batchnorm1.gamma")
    try model.setWeights([0, 1], named: "batchnorm1.running_variance")
    let before = try model.weights(named: "dense1.weight")
    let text = sentence { try model.foldBatchNorm() }
    #expect(text == "dense1.weight: requires finite weights after folding, got a value that is not")
    #expect(try model.weights(named: "dense1.weight") == before)
    #expect(try model.weights(named: "batchnorm1.gamma") == [1e30, 1])
  }
}
