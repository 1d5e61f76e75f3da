import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// Rules that need one pass, and that it changes nothing.
@Suite struct LintPassTests {
  private let logits = Loss.softmaxCrossEntropy()

  /// Article E: the outputs of an LSTM are overwritten and never used.
  private struct Discarding: Layer {
    var lstm = LSTM(4)
    var dense = Dense(3)
    var uses = false
    mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
      _ = try scope.child("lstm", &lstm, input: input)
      return try scope.child("dense", &dense, input: uses ? [4] : [input.count])
    }
    func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
      var y = try pass.run(lstm, as: "lstm", on: x)
      if !uses { y = try x.flattened(fromAxis: 1) }
      return try pass.run(dense, as: "dense", on: y)
    }
  }

  @Test(arguments: TestDevices.all) func unusedBranch(_ device: Device) throws {
    let wrong = try LintBench.model([5, 2], device) { Discarding() }
    expectOnly(
      Lint.check(model: wrong, loss: logits), .warning, "unused-branch",
      at: "discarding1.lstm.input",
      saying: "discarding1.lstm.input.weight, discarding1.lstm.recurrent.weight",
      "discarding1.lstm.bias")
    #expect(Lint.check(model: wrong, loss: logits, runsPass: false) == [])
    let right = try LintBench.model([5, 2], device) { Discarding(uses: true) }
    #expect(Lint.check(model: right, loss: logits) == [])
    try wrong.freeze("discarding1.lstm")
    #expect(Lint.check(model: wrong, loss: logits) == [])
  }

  /// Article E: "batch normalisation" as a quotient of two `Dense(1)`.
  private struct Quotient: Layer {
    var first = Dense(1)
    var second = Dense(1)
    var norm = BatchNorm()
    var isMended = false
    mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
      if isMended { return try scope.child("norm", &norm, input: input) }
      _ = try scope.child("first", &first, input: input)
      return try scope.child("second", &second, input: input)
    }
    func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
      if isMended { return try pass.run(norm, as: "norm", on: x) }
      return try pass.run(first, as: "first", on: x) / pass.run(second, as: "second", on: x)
    }
  }

  @Test func divisionNearZero() throws {
    func found(_ isMended: Bool) throws -> [Diagnostic] {
      let model = try LintBench.model([6]) {
        Quotient(isMended: isMended)
        Dense(3)
      }
      let data = try LintBench.data(30)
      if !isMended {
        // The divisors of the first examples have both signs.
        let values = data.gather(0..<4).features.normalized
        try model.setWeights([Float](repeating: 1, count: 6), named: "quotient1.second.weight")
        try model.setWeights([-values.reduce(0, +) / 4], named: "quotient1.second.bias")
      }
      return Lint.check(model: model, loss: logits, train: data)
    }
    let wrong = try found(false)
    #expect(
      Set(wrong.map(\.rule)) == ["dense-as-normalization", "division-near-zero"], "\(wrong)")
    let division = try #require(wrong.first { $0.rule == "division-near-zero" })
    #expect(division.place == "quotient1" && division.message.contains("no normalisation"))
    #expect(try found(true) == [])
  }

  private func bench(_ device: Device = .cpu) throws -> (Model, Tensor, Tensor) {
    let model = try LintBench.model([6], device) {
      Dense(8, activation: .relu)
      BatchNorm()
      Dropout(0.2)
      Dense(3)
    }
    let data = try LintBench.data(12)
    let batch = data.gather(0..<12)
    return (
      model, try Tensor(batch.features.normalized, shape: [12, 6], on: device),
      try Tensor(batch.labels, shape: [12], on: device)
    )
  }

  @Test(arguments: TestDevices.all) func thePassChangesNothing(_ device: Device) throws {
    let (model, x, labels) = try bench(device)
    let loss = { (pass: Pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels)
    }
    _ = try model.valueAndGradient(loss)
    func everything() throws -> [[Float]] {
      try model.parameters.flatMap { [try $0.tensor?.scalars(), try $0.gradient?.scalars()] }
        .compactMap { $0 } + model.states.map { try model.weights(named: $0.name) }
    }
    let before = try everything()
    #expect(Lint.checkLoss(of: model, loss) == [])
    #expect(Lint.check(model: model, loss: logits, batchSize: 4) == [])
    #expect(try everything() == before)
  }

  /// Article B: the gradient of the gradient applied as an update.
  @Test func lossWithoutGradient() throws {
    let (model, x, labels) = try bench()
    let loss = { (pass: Pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels)
    }
    expectOnly(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        _ = try model.valueAndGradient(loss)
        guard let gradient = model.parameters[0].gradient else { return try loss(pass) }
        return try gradient.sum()
      }, .error, "loss-without-gradient", at: "loss", saying: "second-order")
    #expect(Lint.checkLoss(of: model, loss) == [])
  }

  /// Article C: labels and logits exchanged; gradients that are applied to the inputs.
  @Test func labelsAndLogitsExchanged() throws {
    let model = try LintBench.model([6]) { Dense(1) }
    try model.setWeights([100], named: "dense1.bias")
    let x = try Tensor((0..<12).map { Float($0) }, shape: [2, 6], on: .cpu)
    let labels = try Tensor([Float(0), 1], shape: [2, 1], on: .cpu)
    let found = Lint.checkLoss(of: model) { (pass) throws(TensorError) in
      try labels.sigmoidCrossEntropy(targets: model(x, pass))
    }
    #expect(found.map(\.rule) == ["labels-and-logits-exchanged", "targets-outside-unit-interval"])
    #expect(found.allSatisfy { $0.severity == .error && $0.place == "loss" })
    #expect(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        try model(x, pass).sigmoidCrossEntropy(targets: labels)
      } == [])
    // An optimizer takes a model, and nothing but its parameters by their paths.
    #expect(
      sentence { try model.setWeights([1], named: "inputs") }
        .contains("requires the path of a layer or parameter"))
  }

  /// Article D: the difference of two outputs used as the gradient.
  @Test func differenceAsGradient() throws {
    let (model, x, _) = try bench()
    let y = try x * 0.5
    expectOnly(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        try (model(x, pass) - model(y, pass)).mean()
      }, .warning, "difference-as-gradient", at: "loss", saying: "name a pair loss", "PairTerm")
    #expect(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        try (model(y, pass) - model(x, pass)).activation(.softplus).mean()
      } == [])
  }

  @Test func scalarLoss() throws {
    let (model, x, _) = try bench()
    expectOnly(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        try model(x, pass) - model(x * 2, pass)
      }, .error, "scalar-loss", saying: "12x3", "a difference of outputs", "pair loss")
    expectOnly(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in try model(x, pass) }, .error,
      "scalar-loss", saying: "take its mean")
  }

  @Test func softmaxAndOneUnitInALoopOfOnesOwn() throws {
    let (model, x, labels) = try bench()
    expectOnly(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        try model(x, pass).softmax().softmaxCrossEntropy(labels: labels)
      }, .error, "softmax-before-logits-loss", at: "loss")
    let zeros = try Tensor([Int32](repeating: 0, count: 12), shape: [12], on: .cpu)
    let single = try LintBench.model([6]) { Dense(1) }
    expectOnly(
      Lint.checkLoss(of: single) { (pass) throws(TensorError) in
        try single(x, pass).softmaxCrossEntropy(labels: zeros)
      }, .error, "one-unit-softmax", at: "loss")
  }

  @Test func passFails() throws {
    let (model, x, labels) = try bench()
    expectOnly(
      Lint.checkLoss(of: model) { (pass) throws(TensorError) in
        try logits(model(x.flattened(fromAxis: 0), pass), labels)
      }, .error, "pass-fails", saying: "inputs of batch x 6")
  }

  /// Article D: predictions compared with labels without argmax.
  @Test func predictionsNotClasses() throws {
    let (model, x, labels) = try bench()
    let outputs = try model(x)
    let found = Lint.checkComparison(of: outputs, with: labels)
    expectOnly(
      found, .error, "predictions-not-classes", saying: "predictions are 12x3, labels 12",
      "compare classes, not probabilities")
    #expect(Lint.checkComparison(of: try outputs.argmax(), with: labels) == [])
    // A comparison of the two is refused by itself, unless shapes agree by accident.
    #expect(sentence { _ = try outputs.equal(labels) }.contains("12x3"))
  }
}
