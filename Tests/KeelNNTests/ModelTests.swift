import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct ModelTests {
  @Test func digitsNetworkHasTheKnownShapesAndCounts() throws {
    let model = try Model(.digitsCNN(classes: 10), input: [28, 28, 1], device: .cpu, seed: 1)
    #expect(model.outputShape == [10])
    #expect(
      model.parameters.map(\.name) == [
        "conv1.weight", "conv1.bias", "dense1.weight", "dense1.bias", "dense2.weight",
        "dense2.bias",
      ])
    #expect(model.parameterCount == 320 + 5408 * 128 + 128 + 1290)
    #expect(
      model.layers.map(\.output.description) == ["26x26x32", "13x13x32", "5408", "128", "10"])
    let output = try model(Tensor.zeros([3, 28, 28, 1], on: .cpu))
    #expect(output.shape == [3, 10])
  }

  @Test func summaryIsAligned() throws {
    let model = try Model(.digitsCNN(classes: 10), input: [28, 28, 1], device: .cpu, seed: 1)
    try model.freeze("conv1")
    let lines = model.summary().split(separator: "\n").map(String.init)
    #expect(lines.count == 3 + 5 + 2)
    #expect(lines.contains { $0.hasPrefix("conv1") && $0.contains("320 (frozen)") })
    #expect(lines.contains { $0.contains("692,352") && $0.contains("weight 0.0") })
    #expect(lines[lines.count - 1].hasPrefix("693,962 parameters, 693,642 of them trainable"))
  }

  @Test func everySliceStartsAtABlockAndPaddingIsZero() throws {
    let model = try Model(
      Sequential {
        Dense(3)
        Dense(200)
        BatchNorm()
      }, input: [5], device: .cpu, seed: 2)
    var covered: Set<Int> = []
    for parameter in model.parameters {
      let place = try #require(parameter.place)
      #expect(place.offset % ArenaBlock.count == 0)
      for i in 0..<parameter.shape.count { #expect(covered.insert(place.offset + i).inserted) }
    }
    let flat: [Float] = try model.device.backend.scalars(model.arena.parameters)
    #expect(flat.count % ArenaBlock.count == 0)
    for i in flat.indices where !covered.contains(i) { #expect(flat[i] == 0) }
  }

  @Test func layersRefuseWhatTheyCannotTake() {
    func refusal(_ layer: any Layer, _ input: Shape) -> String {
      sentence { _ = try Model(Sequential([layer]), input: input, device: .cpu, seed: 0) }
    }
    #expect(
      refusal(Conv2D(4), [10])
        == "conv1 (Conv2D): requires an image of height x width x channels, got 10")
    #expect(
      refusal(Conv2D(4, kernel: 5), [4, 9, 1]).contains("an image of at least 5x5, got 4x9x1"))
    #expect(refusal(Conv2D(4, groups: 2), [9, 9, 3]).contains("groups that divide channels"))
    #expect(refusal(Conv2D(0), [9, 9, 3]).contains("at least 1"))
    #expect(refusal(MaxPool2D(3), [2, 2, 1]).contains("maxpool1 (MaxPool2D)"))
    #expect(refusal(Dense(0), [3]).contains("at least one unit, got 0"))
    #expect(refusal(Dropout(1), [3]).contains("a rate in 0 ..< 1, got 1.0"))
    #expect(refusal(Dropout(.nan), [3]).contains("a rate in 0 ..< 1, got nan"))
    #expect(refusal(BatchNorm(momentum: 2), [3]).contains("a momentum in 0 ... 1"))
    #expect(refusal(GlobalAvgPool2D(), [3]).contains("an image"))
    #expect(refusal(Sequential([]), [3]).contains("at least one layer"))
    #expect(
      refusal(Dense(2, initializer: .normal(mean: 0, deviation: .nan)), [3]).contains("deviation"))
    let twice = [Dense(2).named("head"), Dense(2).named("head")]
    #expect(
      sentence { _ = try Model(Sequential(twice), input: [3], device: .cpu) }.contains("'head'"))
  }

  @Test func modelRefusesNegativeExtents() {
    let error = sentence {
      _ = try Model(Sequential { Dense(3) }, input: [-4], device: .cpu, seed: 1)
    }
    #expect(error == "model: requires extents of at least 0, got -4")
  }

  @Test func modelRefusesOtherInputs() throws {
    let model = try Model(Dense(2), input: [3], device: .cpu)
    #expect(
      sentence { _ = try model(Tensor.zeros([5, 4], on: .cpu)) }
        == "model: requires inputs of batch x 3, got 5x4")
  }

  @Test func aLayerOfOnesOwnTakesAFewLines() throws {
    struct Residual: Layer {
      var inner = Dense(4, activation: .tanh)
      mutating func build(
        _ scope: inout LayerScope, input: Shape
      ) throws(TensorError) -> Shape { try scope.child("inner", &inner, input: input) }
      func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
        try x + inner(x, pass)
      }
    }
    let model = try Model(
      Sequential {
        Residual()
        Residual()
      }, input: [4], device: .cpu, seed: 3)
    #expect(model.parameters[2].name == "residual2.inner.weight")
    let x = try Tensor([1, 2, 3, 4], shape: [1, 4], on: .cpu)
    let loss = try model.valueAndGradient { (pass) throws(TensorError) in
      try model(x, pass).sum()
    }
    #expect(try loss.item().isFinite)
    let gradient = try #require(model.parameters[0].gradient)
    #expect(try gradient.scalars().contains { $0 != 0 })
  }

  @Test(arguments: TestDevices.all) func layersComputeWhatTheySay(_ device: Device) throws {
    let model = try Model(
      Sequential {
        AvgPool2D(2)
        Flatten()
        Dense(1, usesBias: false, initializer: .ones)
      }, input: [2, 2, 1], device: device)
    let x = try Tensor([1, 2, 3, 6, 0, 0, 0, 4], shape: [2, 2, 2, 1], on: device)
    #expect(try model(x).scalars() == [3, 1])
    let pooled = try Model(GlobalAvgPool2D(), input: [2, 2, 1], device: device)
    #expect(try pooled(x).scalars() == [3, 1])
  }

  @Test(arguments: TestDevices.all)
  func batchNormKeepsRunningStatisticsAndUsesThem(_ device: Device) throws {
    let model = try Model(BatchNorm(momentum: 0.5, epsilon: 1e-5), input: [1], device: device)
    let x = try Tensor([1, 3, 5, 7], shape: [4, 1], on: device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
    // Mean 4 and unbiased variance 20 / 3, each half of the way from 0 and 1.
    #expect(try model.weights(named: "running_mean") == [2])
    let variance = try model.weights(named: "running_variance")[0]
    #expect(abs(variance - (0.5 + 10.0 / 3)) < 1e-5)
    let y = try model(x).scalars()
    #expect(abs(y[0] + 1 / variance.squareRoot()) < 1e-4)
    #expect(try model.weights(named: "running_mean") == [2])
    let one = try Tensor([1], shape: [1, 1], on: device)
    let text = sentence {
      _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(one, pass).sum() }
    }
    #expect(text.contains("more than one value per channel"))
    try model.freeze()
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(one, pass).sum() }
    #expect(try model.weights(named: "running_mean") == [2])
  }

  @Test(arguments: TestDevices.all)
  func dropoutDropsInTrainingOnly(_ device: Device) throws {
    let model = try Model(Dropout(0.25), input: [4000], device: device, seed: 9)
    let x = try Tensor.ones([1, 4000], on: device)
    #expect(try model(x).scalars() == x.scalars())
    func masked(_ step: UInt64) throws -> [Float] {
      try model(x, Pass(isTraining: true, seed: 9, step: step)).scalars()
    }
    let first = try masked(1)
    let dropped = first.count { $0 == 0 }
    #expect((850...1150).contains(dropped))
    #expect(first.allSatisfy { $0 == 0 || abs($0 - 4.0 / 3) < 1e-6 })
    #expect(try masked(1) == first)
    #expect(try masked(2) != first)
    let onCPU = try Model(Dropout(0.25), input: [4000], device: .cpu, seed: 9)
    let ones = try Tensor.ones([1, 4000], on: .cpu)
    #expect(try onCPU(ones, Pass(isTraining: true, seed: 9, step: 1)).scalars() == first)
  }

  @Test func pathsAreChecked() throws {
    let model = try Model(Models.mlp(hidden: [4], classes: 2), input: [3], device: .cpu)
    #expect(sentence { try model.freeze("dense9") }.contains("dense1.weight"))
    #expect(sentence { _ = try model.weights(named: "nothing") }.contains("got nothing"))
    #expect(
      sentence { try model.setWeights([1], named: "dense1.bias") }
        == "dense1.bias: requires 4 values, got 1")
    try model.freeze("dense1")
    #expect(model.parameters.map(\.isTrainable) == [false, false, true, true])
    try model.unfreeze("dense1.bias")
    #expect(model.parameters.map(\.isTrainable) == [false, true, true, true])
  }
}
