import Keel
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// Rules about layers, one test each; the mended form gives nothing.
@Suite struct LintLayerTests {
  private let logits = Loss.softmaxCrossEntropy()

  /// Article A: `Dense(32)` on an image of 2x2x2.
  @Test func denseWithoutFlatten() throws {
    let wrong = try LintBench.model([2, 2, 2]) {
      Dense(32, activation: .relu)
      Flatten()
      Dense(3)
    }
    expectOnly(
      Lint.check(model: wrong, loss: logits), .warning, "dense-without-flatten", at: "dense1",
      saying: "the last axis only", "2x2x2", "did you mean Flatten()")
    let right = try LintBench.model([2, 2, 2]) {
      Flatten()
      Dense(32, activation: .relu)
      Dense(3)
    }
    #expect(Lint.check(model: right, loss: logits) == [])
  }

  @Test func outputShape() throws {
    let wrong = try LintBench.model([2, 2, 2]) { Conv2D(3, kernel: 1) }
    expectOnly(
      Lint.check(model: wrong, loss: logits), .error, "output-shape", at: "conv1",
      saying: "2x2x3")
    let right = try LintBench.model([2, 2, 2]) {
      Conv2D(3, kernel: 1)
      GlobalAvgPool2D()
    }
    #expect(Lint.check(model: right, loss: logits) == [])
  }

  /// Article A: one output unit with sparse softmax cross-entropy.
  @Test func oneUnitSoftmax() throws {
    func model(_ units: Int) throws -> Model {
      try LintBench.model([6]) {
        Dense(8, activation: .relu)
        Dense(units)
      }
    }
    let wrong = try model(1)
    expectOnly(
      Lint.check(model: wrong, loss: logits), .error, "one-unit-softmax", at: "dense2",
      saying: "identically zero", "as many units as classes", "sigmoid-cross-entropy")
    // It is so.
    let x = try Tensor([1, 2, 3, 4, 5, 6], shape: [1, 6], on: .cpu)
    let labels = try Tensor([Int32(0)], shape: [1], on: .cpu)
    let loss = try wrong.valueAndGradient { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(wrong(x, pass), labels)
    }
    #expect(try loss.item() == 0)
    for parameter in wrong.parameters {
      #expect(try parameter.gradient?.scalars().allSatisfy { $0 == 0 } == true)
    }
    #expect(Lint.check(model: try model(2), loss: logits) == [])
    #expect(Lint.check(model: wrong, loss: .sigmoidCrossEntropy) == [])
  }

  /// Article B: a softmax layer followed by a loss on logits.
  @Test func softmaxBeforeLogitsLoss() throws {
    let wrong = try LintBench.model([6]) {
      Dense(3)
      Softmax()
    }
    let found = Lint.check(model: wrong, loss: logits)
    expectOnly(
      found, .error, "softmax-before-logits-loss", at: "softmax1", saying: "twice",
      "gradients shrink")
    #expect(Lint.check(model: wrong, loss: .meanSquaredError) == [])
    // Within a layer of one's own the pass finds it.
    let hidden = try LintBench.model([6]) { Probabilities() }
    #expect(Lint.check(model: hidden, loss: logits).map(\.rule) == found.map(\.rule))
    #expect(Lint.check(model: hidden, loss: logits, runsPass: false) == [])
    #expect(Lint.check(model: try LintBench.model([6]) { Dense(3) }, loss: logits) == [])
  }

  private struct Probabilities: Layer {
    var inner = Dense(3)
    mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
      try scope.child("inner", &inner, input: input)
    }
    func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
      try pass.run(inner, as: "inner", on: x).softmax()
    }
  }

  @Test func sigmoidBeforeLogitsLoss() throws {
    let wrong = try LintBench.model([6]) { Dense(1, activation: .sigmoid) }
    expectOnly(
      Lint.check(model: wrong, loss: .sigmoidCrossEntropy), .error, "sigmoid-before-logits-loss",
      at: "dense1", saying: "twice")
    let right = try LintBench.model([6]) { Dense(1) }
    #expect(Lint.check(model: right, loss: .sigmoidCrossEntropy) == [])
  }

  @Test func activationOnLogits() throws {
    let wrong = try LintBench.model([6]) { Dense(3, activation: .relu) }
    expectOnly(
      Lint.check(model: wrong, loss: logits), .warning, "activation-on-logits", at: "dense1",
      saying: "relu")
    let right = try LintBench.model([6]) { Dense(3) }
    #expect(Lint.check(model: right, loss: logits) == [])
  }

  /// Article E: "batch normalisation" as `Dense(1)`.
  @Test func denseAsNormalization() throws {
    let wrong = try LintBench.model([6]) {
      Dense(8, activation: .relu)
      Dense(1)
      Dense(3)
    }
    expectOnly(
      Lint.check(model: wrong, loss: logits), .warning, "dense-as-normalization", at: "dense2",
      saying: "no normalisation", "BatchNorm()")
    let right = try LintBench.model([6]) {
      Dense(8)
      BatchNorm(activation: .relu)
      Dense(3)
    }
    #expect(Lint.check(model: right, loss: logits) == [])
  }

  @Test func dropoutBeforeBatchNorm() throws {
    func model(_ rate: Float) throws -> Model {
      try LintBench.model([6]) {
        Dense(8)
        Dropout(rate)
        Relu()
        BatchNorm()
        Dense(3)
      }
    }
    expectOnly(
      Lint.check(model: try model(0.3), loss: logits), .warning, "dropout-before-batch-norm",
      at: "dropout1", saying: "batchnorm1", "variance shift")
    #expect(Lint.check(model: try model(0), loss: logits) == [])
    let right = try LintBench.model([6]) {
      Dense(8)
      BatchNorm(activation: .relu)
      Dropout(0.3)
      Dense(3)
    }
    #expect(Lint.check(model: right, loss: logits) == [])
    // Inside a block too.
    let block = try LintBench.model([6]) {
      Residual {
        Dropout(0.3)
        BatchNorm()
        Dense(6)
      }
      Dense(3)
    }
    expectOnly(
      Lint.check(model: block, loss: logits), .warning, "dropout-before-batch-norm",
      at: "residual1.dropout1")
  }

  /// Article B: zeros in two layers, one frozen and then unfrozen.
  @Test(arguments: TestDevices.all) func zeroInitSymmetry(_ device: Device) throws {
    func model(_ first: Initializer, _ second: Initializer) throws -> Model {
      try LintBench.model([6], device) {
        Dense(8, activation: .relu, initializer: first)
        Dense(3, initializer: second)
      }
    }
    let wrong = try model(.zeros, .zeros)
    try wrong.freeze("dense1")
    let found = Lint.check(model: wrong, loss: logits)
    #expect(found.map(\.rule) == ["zero-init-symmetry", "frozen-zero"])
    #expect(found[0].severity == .error && found[0].place == "dense1")
    #expect(found[0].message.contains("never breaks; dense1 is frozen"))
    try wrong.unfreeze("dense1")
    expectOnly(
      Lint.check(model: wrong, loss: logits), .error, "zero-init-symmetry",
      saying: "dense1 and dense2 are all equal: no gradient reaches either")
    // It is so: the weights are zero after steps.
    let updater = try Updater(.sgd(learningRate: 1), for: wrong)
    let x = try Tensor([1, -2, 3, 4, 5, -6], shape: [1, 6], on: device)
    let labels = try Tensor([Int32(1)], shape: [1], on: device)
    for _ in 0..<3 {
      _ = try wrong.valueAndGradient { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(wrong(x, pass), labels)
      }
      try updater.update()
    }
    #expect(try wrong.weights(named: "dense1.weight").allSatisfy { $0 == 0 })
    #expect(try wrong.weights(named: "dense2.weight").allSatisfy { $0 == 0 })
    #expect(
      Lint.check(model: try model(.ones, .constant(0.5)), loss: logits).first?.message
        .contains("equal gradients") == true)
    // Symmetry that is broken elsewhere, or by values that were set, is none.
    #expect(Lint.check(model: try model(.heNormal, .zeros), loss: logits) == [])
    try wrong.setWeights((0..<48).map { Float($0) / 48 }, named: "dense1.weight")
    #expect(Lint.check(model: wrong, loss: logits) == [])
  }

  @Test func frozenZero() throws {
    let model = try LintBench.model([6]) {
      Dense(8, activation: .relu, initializer: .zeros)
      Dense(3)
    }
    #expect(Lint.check(model: model, loss: logits) == [])
    try model.freeze("dense1")
    expectOnly(
      Lint.check(model: model, loss: logits), .warning, "frozen-zero", at: "dense1",
      saying: "dense1.weight is all zero and frozen")
  }

  @Test func nothingTrains() throws {
    let model = try LintBench.model([6]) { Dense(3) }
    try model.freeze()
    expectOnly(
      Lint.check(model: model, loss: logits), .warning, "nothing-trains", at: "model",
      saying: "all 2 parameters are frozen")
    try model.unfreeze()
    #expect(Lint.check(model: model, loss: logits) == [])
  }

  /// Article E: the sum of two convolutions whose shapes differ is refused where it is built.
  @Test func sumsOfDifferentShapesAreRefused() {
    let text = sentence {
      _ = try LintBench.model([8, 8, 1]) {
        Residual {
          Conv2D(4, kernel: 3)
        } shortcut: {
          Conv2D(4, kernel: 5)
        }
      }
    }
    #expect(text.contains("height (axis 0): 6 and 4") && text.contains("width (axis 1): 6 and 4"))
  }
}
