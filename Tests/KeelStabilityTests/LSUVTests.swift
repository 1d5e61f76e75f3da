import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

@Suite struct LSUVTests {
  /// Inputs far from unit variance: orthonormal weights alone keep that.
  private func batch(_ device: Device, _ shape: Shape, scale: Float = 3) throws -> Tensor {
    let key = RandomKey(seed: 9, .user)
    return try Tensor(
      RandomDistribution.normal(mean: 1, deviation: scale).values(shape.count, key: key),
      shape: shape, on: device)
  }

  private func network(_ activation: Activation) -> Sequential {
    Sequential {
      Conv2D(8, kernel: 3, activation: activation)
      BatchNorm()
      Conv2D(8, kernel: 3, usesBias: false)
      ActivationLayer(activation)
      MaxPool2D(2)
      Flatten()
      Dense(24, activation: activation)
      Dropout(0.5)
      Dense(16, activation: activation)
      Dense(4)
    }
  }

  /// Measured apart from the code that is tested: each layer's linear part, computed by a model
  /// whose layers have no activation fused.
  private func variances(_ model: Model, _ x: Tensor, _ activation: Activation) throws -> [Float] {
    func weight(_ name: String) throws -> Tensor {
      try #require(model.parameters.first { $0.name == name }?.tensor)
    }
    let first = try x.convolution2D(weight("conv1.weight"), bias: weight("conv1.bias"))
    // Running mean 0 and variance 1.
    let normalised = try first.activation(activation) * (1 / Float(1.001).squareRoot())
    let second = try normalised.convolution2D(weight("conv2.weight"))
    let flat = try second.activation(activation).maxPooling2D(window: (2, 2), stride: (2, 2))
      .flattened(fromAxis: 1)
    let third = try flat.dense(weight("dense1.weight"), bias: weight("dense1.bias"))
    let fourth = try third.activation(activation).dense(
      weight("dense2.weight"), bias: weight("dense2.bias"))
    let fifth = try fourth.activation(activation).dense(
      weight("dense3.weight"), bias: weight("dense3.bias"))
    return try [first, second, third, fourth, fifth].map { try $0.variance().item() }
  }

  @Test(arguments: TestDevices.all)
  func everyLayerHasUnitVariance(_ device: Device) throws {
    for activation in [Activation.relu, .tanh, .gelu] {
      let model = try Model(network(activation), input: [9, 9, 2], device: device, seed: 3)
      let x = try batch(device, [32, 9, 9, 2])
      let states = try model.states.map { try model.weights(named: $0.name) }
      let report = try model.initializeLSUV(on: x)
      #expect(report.isConverged && report.untouched.isEmpty)
      #expect(
        report.layers.map(\.weight) == [
          "conv1.weight", "conv2.weight", "dense1.weight", "dense2.weight", "dense3.weight",
        ])
      #expect(report.layers.contains { abs($0.varianceBefore - 1) > 0.5 })
      let measured = try variances(model, x, activation)
      for (layer, variance) in zip(report.layers, measured) {
        #expect((0.9...1.1).contains(variance), "\(layer), \(variance)")
        #expect(abs(layer.varianceAfter - variance) < 1e-3)
        #expect(layer.tries <= 2)
      }
      #expect(try model.states.map { try model.weights(named: $0.name) } == states)
    }
  }

  /// Orthonormal up to the factor.
  @Test func directionsStayOrthogonal() throws {
    let model = try Model(Dense(6), input: [20], device: .cpu, seed: 3)
    try model.initializeLSUV(on: batch(.cpu, [64, 20]))
    let w = try model.weights(named: "weight").map(Double.init)
    func product(_ i: Int, _ j: Int) -> Double {
      (0..<20).reduce(0) { $0 + w[$1 * 6 + i] * w[$1 * 6 + j] }
    }
    let square = product(0, 0)
    #expect(abs(square - 1) > 0.1)
    for i in 0..<6 {
      for j in 0..<6 { #expect(abs(product(i, j) / square - (i == j ? 1 : 0)) < 1e-5) }
    }
  }

  @Test func biasesMakeItTryAgain() throws {
    let layer = Dense(40, biasInitializer: .normal(mean: 0, deviation: 0.8))
    let model = try Model(layer, input: [10], device: .cpu, seed: 3)
    let report = try model.initializeLSUV(on: batch(.cpu, [64, 10]), tolerance: 0.02)
    #expect(report.layers[0].tries > 1 && report.isConverged)
    // A bias that alone has more than unit variance cannot be made up for.
    let loud = Dense(40, biasInitializer: .normal(mean: 0, deviation: 3))
    let hopeless = try Model(loud, input: [10], device: .cpu, seed: 3)
    let other = try hopeless.initializeLSUV(on: batch(.cpu, [64, 10]))
    #expect(other.layers[0].tries == 10 && !other.isConverged)
  }

  /// A recurrent layer is no linear map and an activation: it keeps its weights, and what comes
  /// behind is measured with them.
  @Test func recurrentWeightsStay() throws {
    let model = try Model(
      Sequential {
        LSTM(6)
        Dense(4)
      }, input: [5, 3], device: .cpu, seed: 3)
    let names = model.parameters.map(\.name).filter { $0.hasPrefix("lstm") }
    let before = try names.map { try model.weights(named: $0) }
    let report = try model.initializeLSUV(on: batch(.cpu, [64, 5, 3]))
    #expect(report.layers.map(\.weight) == ["dense1.weight"] && report.isConverged)
    #expect(report.untouched.count == 2)
    #expect(try names.map { try model.weights(named: $0) } == before)
  }

  @Test(arguments: TestDevices.all)
  func frozenWeightsStayAndFailuresChangeNothing(_ device: Device) throws {
    let model = try Model(
      Models.mlp(hidden: [8, 8], classes: 3), input: [5], device: device, seed: 3)
    try model.freeze("dense2")
    let kept = try model.weights(named: "dense2.weight")
    let report = try model.initializeLSUV(on: batch(device, [16, 5]), orthonormalFill: false)
    #expect(report.untouched == ["dense2.weight"])
    #expect(try model.weights(named: "dense2.weight") == kept)

    let before = try model.parameters.map { try model.weights(named: $0.name) }
    let error = sentence { try model.initializeLSUV(on: .zeros([16, 5], on: device)) }
    #expect(error.contains("dense1.weight with a finite variance above 0, got 0.0"))
    let poisoned = try Tensor([Float](repeating: .nan, count: 10), shape: [2, 5], on: device)
    #expect(sentence { try model.initializeLSUV(on: poisoned) }.contains("got nan"))
    #expect(try model.parameters.map { try model.weights(named: $0.name) } == before)
    for tolerance in [0, 1, -1, .nan] as [Float] {
      let error = sentence { try model.initializeLSUV(on: poisoned, tolerance: tolerance) }
      #expect(error.contains("a tolerance above 0"))
    }
  }
}
