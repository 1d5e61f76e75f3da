import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// Planted faults: each is found at its operation, in its layer, on its way.
@Suite struct FaultZooTests {
  /// Computes with a formula, as a layer.
  struct Formula: Layer {
    let body: (Tensor) throws(TensorError) -> Tensor

    mutating func build(
      _ scope: inout LayerScope, input: Shape
    ) throws(TensorError) -> Shape { input }

    func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor { try body(x) }
  }

  private func model(
    _ device: Device, _ body: @escaping (Tensor) throws(TensorError) -> Tensor
  ) throws -> Model {
    try Model(
      Sequential {
        Dense(6, activation: .tanh)
        Formula(body: body).named("fault")
        Dense(3)
      }, input: [4], device: device, seed: 3)
  }

  private func batch(_ device: Device) throws -> (x: Tensor, labels: Tensor) {
    let numbers = (0..<32).map { (place: Int) -> Float in Float((place * 7) % 11) / 5 - 1 }
    return (
      try Tensor(numbers, shape: [8, 4], on: device),
      try Tensor((0..<8).map { Int32($0 % 3) }, shape: [8], on: device)
    )
  }

  private func locate(_ model: Model, _ x: Tensor, _ labels: Tensor) throws -> FirstCause? {
    try model.locateFirstCause { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels)
    }
  }

  /// The cause of a fault in the layer `fault`.
  private func cause(
    on device: Device, _ body: @escaping (Tensor) throws(TensorError) -> Tensor
  ) throws -> FirstCause {
    let (x, labels) = try batch(device)
    return try #require(try locate(try model(device, body), x, labels))
  }

  private func expect(
    _ cause: FirstCause, _ operation: String, _ direction: FirstCause.Direction = .forward,
    layer: String = "fault"
  ) {
    #expect(cause.source == .operation)
    #expect(cause.place.operation == operation)
    #expect(cause.place.direction == direction)
    #expect(cause.place.layer == layer)
    #expect(cause.inputs.allSatisfy { $0.range.isFinite })
    #expect(!cause.output.range.isFinite)
    #expect(cause.lastFinite?.output.range.isFinite == true)
    let lines = "\(cause)".split(separator: "\n")
    #expect((3...8).contains(lines.count))
  }

  @Test(arguments: TestDevices.all) func nothingIsFoundWhereAllIsFinite(_ device: Device) throws {
    let model = try model(device) { (x) throws(TensorError) in try x.exp() }
    let (x, labels) = try batch(device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels)
    }
    let before = try model.parameters.map { try $0.gradient?.scalars() ?? [] }
    #expect(try locate(model, x, labels) == nil)
    #expect(try model.parameters.map { try $0.gradient?.scalars() ?? [] } == before)
  }

  @Test(arguments: TestDevices.all) func logarithmOfZero(_ device: Device) throws {
    let cause = try cause(on: device) { (x) throws(TensorError) in try (x - x).log() + 1 }
    expect(cause, "log")
    #expect(cause.output.range.negativeInfinityCount == 48)
    #expect(cause.inputs[0].range.largestMagnitude == 0)
    #expect(cause.lastFinite?.place.operation == "subtract")
    #expect(cause.place.layerKind == "Formula")
    #expect(cause.place.source?.contains("FaultZooTests.swift:") == true)
  }

  @Test(arguments: TestDevices.all) func zeroByZero(_ device: Device) throws {
    let cause = try cause(on: device) { (x) throws(TensorError) in
      let zero = try x * 0
      return try zero / zero
    }
    expect(cause, "divide")
    #expect(cause.output.range.nanCount == 48)
    #expect("\(cause)".contains("made NaN out of finite numbers"))
  }

  @Test(arguments: TestDevices.all) func overflowOfTheExponential(_ device: Device) throws {
    let cause = try cause(on: device) { (x) throws(TensorError) in
      try ((x.abs() + 1) * 100).exp()
    }
    expect(cause, "exp")
    #expect(cause.output.range.positiveInfinityCount == 48)
    #expect((cause.inputs[0].range.maximum ?? 0) >= 100)
  }

  @Test(arguments: TestDevices.all) func rootOfZeroOnTheWayBack(_ device: Device) throws {
    let cause = try cause(on: device) { (x) throws(TensorError) in
      try x.maximum(0).sqrt()
    }
    expect(cause, "sqrt", .backward)
    #expect(cause.lastFinite?.place.direction == .backward)
    #expect(cause.lastFinite?.place.layer == "dense2")
    #expect("\(cause)".contains("the gradient of sqrt in fault (Formula)"))
  }

  @Test(arguments: TestDevices.all) func divisionByNearlyZero(_ device: Device) throws {
    let cause = try cause(on: device) { (x) throws(TensorError) in
      try (x + 2) * 1e10 / (x * 0 + 1e-30)
    }
    expect(cause, "divide")
    #expect(cause.output.range.positiveInfinityCount == 48)
  }

  @Test(arguments: TestDevices.all) func softmaxOfInfinity(_ device: Device) throws {
    // The infinity, not the softmax that makes NaN of it, is the cause.
    let cause = try cause(on: device) { (x) throws(TensorError) in
      try ((x + 2) * 3e38).softmax()
    }
    expect(cause, "multiply")
    #expect(cause.lastFinite?.place.operation == "add")
  }

  @Test(arguments: TestDevices.all) func castToHalfOverflows(_ device: Device) throws {
    let cause = try cause(on: device) { (x) throws(TensorError) in
      try ((x + 2) * 65520).roundedToHalf() * 1e-5
    }
    expect(cause, "roundedToHalf")
    #expect(cause.output.range.positiveInfinityCount > 0)
    #expect((cause.inputs[0].range.maximum ?? 0) < 3e5)
  }

  @Test(arguments: TestDevices.all) func scaleOfTheLossOverflows(_ device: Device) throws {
    let model = try model(device) { (x) throws(TensorError) in x }
    let (x, labels) = try batch(device)
    let cause = try #require(
      try model.locateFirstCause(seed: .infinity) { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(model(x, pass), labels)
      })
    #expect(cause.source == .gradientSeed)
    #expect(cause.place.layer == "loss")
  }

  @Test(arguments: TestDevices.all)
  func hugeLearningRateOverflowsAProduct(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Dense(16)
        Dense(16)
        Dense(1)
      }, input: [4], device: device, seed: 3)
    let (x, _) = try batch(device)
    let targets = try Tensor((0..<8).map { Float($0) }, shape: [8, 1], on: device)
    let loss = { (pass: Pass) throws(TensorError) in
      try Loss.meanSquaredError(model(x, pass), targets)
    }
    let updater = try Updater(.sgd(learningRate: 1e6), for: model)
    var (steps, value) = (0, Float(0))
    while steps < 20 {
      value = try model.valueAndGradient(loss).item()
      let slopes = try model.parameters.flatMap { try $0.gradient?.scalars() ?? [] }
      guard value.isFinite, slopes.allSatisfy(\.isFinite) else { break }
      try updater.update()
      steps += 1
    }
    #expect((1..<20).contains(steps))
    let cause = try #require(try model.locateFirstCause(loss))
    #expect(cause.source == .operation)
    #expect(["dense", "meanSquaredError"].contains(cause.place.operation))
    #expect(cause.place.layer != nil)
    #expect(cause.inputs.contains { ($0.range.largestMagnitude ?? 0) > 1e10 })
  }

  @Test(arguments: TestDevices.all) func weightsOverflowInAProduct(_ device: Device) throws {
    let model = try model(device) { (x) throws(TensorError) in x }
    try model.setWeights([Float](repeating: 3e38, count: 18), named: "dense2.weight")
    let (x, labels) = try batch(device)
    let cause = try #require(try locate(model, x, labels))
    expect(cause, "dense", layer: "dense2")
    #expect(cause.place.family == "matmul")
    #expect(cause.inputs.map(\.name) == ["input 1", "dense2.weight", "dense2.bias"])
  }

  @Test(arguments: TestDevices.all) func poisonedBatch(_ device: Device) throws {
    let model = try model(device) { (x) throws(TensorError) in x }
    let (x, labels) = try batch(device)
    var numbers = try x.scalars()
    numbers[3 * 4 + 1] = .nan
    let cause = try #require(
      try locate(model, try Tensor(numbers, shape: [8, 4], on: device), labels))
    #expect(cause.source == .inputBatch(example: 3))
    #expect(cause.place.layer == "dense1")
    #expect("\(cause)".contains("the input batch holds NaN at example 3"))
    #expect(cause.inputs[0].range.firstNonFiniteIndex == [3, 1])
  }

  @Test(arguments: TestDevices.all) func poisonedParameter(_ device: Device) throws {
    let model = try model(device) { (x) throws(TensorError) in x }
    var weights = try model.weights(named: "dense2.weight")
    weights[5] = .infinity
    try model.setWeights(weights, named: "dense2.weight")
    let (x, labels) = try batch(device)
    let cause = try #require(try locate(model, x, labels))
    #expect(cause.source == .parameter(name: "dense2.weight"))
    #expect(
      "\(cause)".contains("the parameter dense2.weight holds +inf since before this step"))
  }
}
