import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What optimizers do to weights.
@Suite struct UpdaterTests {
  private func network() -> Sequential {
    Sequential {
      Dense(6, activation: .tanh)
      Dense(3)
    }
  }

  private func model(_ device: Device) throws -> Model {
    try Model(network(), input: [4], device: device, seed: 21)
  }

  private func batch(_ device: Device, rows: Range<Int> = 0..<8) throws -> (Tensor, Tensor) {
    let numbers = rows.flatMap { (row: Int) -> [Float] in
      (0..<4).map { (column: Int) -> Float in Float((row * 7 + column * 3) % 5) - 2 }
    }
    return (
      try Tensor(numbers, shape: [rows.count, 4], on: device),
      try Tensor(rows.map { Int32($0 % 3) }, shape: [rows.count], on: device)
    )
  }

  private func gradient(_ model: Model, scale: Float = 1) throws {
    let (x, labels) = try batch(model.device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(x, pass), labels) * scale
    }
  }

  private func weights(_ model: Model) throws -> [[Float]] {
    try model.parameters.map { try model.weights(named: $0.name) }
  }

  private func gradients(_ model: Model) throws -> [[Float]] {
    try model.parameters.map { try $0.gradient?.scalars() ?? [] }
  }

  @Test(arguments: TestDevices.all) func plainDescentSubtractsTheGradient(_ device: Device) throws {
    let model = try model(device)
    let before = try weights(model)
    try gradient(model)
    let slopes = try gradients(model)
    try Updater(.sgd(learningRate: 0.5), for: model).update()
    for (number, after) in try weights(model).enumerated() {
      for i in after.indices {
        let expected = before[number][i] - 0.5 * slopes[number][i]
        #expect(abs(after[i] - expected) <= abs(expected) * 1e-6 + 1e-7)
      }
    }
  }

  @Test(arguments: TestDevices.all)
  func frozenParametersStayBitForBit(_ device: Device) throws {
    let model = try model(device)
    try model.freeze("dense1.weight")
    let updater = try Updater(.adamW(learningRate: 0.1), for: model, clipGlobalNorm: 0.1)
    let before = try weights(model)
    for _ in 0..<3 {
      try gradient(model)
      try updater.update()
    }
    let after = try weights(model)
    #expect(after[0].map(\.bitPattern) == before[0].map(\.bitPattern))
    for number in 1..<4 { #expect(after[number] != before[number]) }
    // A frozen parameter counts in no norm.
    #expect(try gradients(model)[0].allSatisfy { $0 == 0 })
    try model.unfreeze()
    try gradient(model)
    try updater.update()
    #expect(try weights(model)[0] != before[0])
  }

  @Test(arguments: TestDevices.all) func decayShrinksWeightsButNoBiases(_ device: Device) throws {
    let model = try model(device)
    try model.setWeights([1, 1, 1], named: "dense2.bias")
    let before = try weights(model)
    // No gradient: only decay moves anything.
    let updater = try Updater(.adamW(learningRate: 0.1, weightDecay: 0.5), for: model)
    try updater.update()
    let after = try weights(model)
    for i in before[0].indices {
      #expect(abs(after[0][i] - before[0][i] * 0.95) < 1e-6)
    }
    #expect(after[3] == [1, 1, 1])
  }

  @Test func coupledAndDecoupledDecayDiffer() throws {
    var results: [[[Float]]] = []
    for optimizer in [Optimizer.adam(weightDecay: 0.1), .adamW(weightDecay: 0.1), .adam()] {
      let model = try model(.cpu)
      let updater = try Updater(optimizer, for: model)
      for _ in 0..<3 {
        try gradient(model)
        try updater.update()
      }
      results.append(try weights(model))
    }
    #expect(results[0][0] != results[1][0] && results[0][0] != results[2][0])
    #expect(results[1][0] != results[2][0])
  }

  @Test(arguments: TestDevices.all)
  func clippingChangesTheStepByTheCoefficient(_ device: Device) throws {
    let free = try model(device)
    try gradient(free, scale: 100)
    let start = try weights(free)
    let slopes = try gradients(free)
    let norm = slopes.joined().reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    let clipped = try model(device)
    try gradient(clipped, scale: 100)
    let updater = try Updater(.sgd(learningRate: 1), for: clipped, clipGlobalNorm: 0.5)
    try updater.update()
    let report = try updater.report()
    let (measured, coefficient) = (report.norm, report.factor)
    #expect(abs(Double(measured) / norm - 1) < 1e-5)
    #expect(abs(Double(coefficient) - 0.5 / norm) < 1e-6)
    for (number, after) in try weights(clipped).enumerated() {
      for i in after.indices {
        let expected = start[number][i] - Float(0.5 / norm) * slopes[number][i]
        #expect(abs(after[i] - expected) < 1e-5)
      }
    }
    // A limit that is not reached changes nothing.
    let (plain, wide) = (try model(device), try model(device))
    for (model, limit) in [(plain, nil), (wide, 1e6)] as [(Model, Float?)] {
      try gradient(model)
      try Updater(.adam(), for: model, clipGlobalNorm: limit).update()
    }
    #expect(try weights(plain) == weights(wide))
  }

  @Test(arguments: TestDevices.all)
  func microBatchesAccumulateToTheBigBatch(_ device: Device) throws {
    let whole = try model(device)
    try gradient(whole)
    let parts = try model(device)
    for (number, rows) in [0..<3, 3..<6, 6..<8].enumerated() {
      let (x, labels) = try batch(device, rows: rows)
      _ = try parts.valueAndGradient(
        step: 0, weight: Float(rows.count) / 8, accumulates: number > 0
      ) { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(parts(x, pass), labels)
      }
    }
    let (expected, found) = (try gradients(whole), try gradients(parts))
    for number in expected.indices {
      for i in expected[number].indices {
        #expect(abs(expected[number][i] - found[number][i]) < 1e-6)
      }
    }
  }

  @Test func parametersThatTheLossDoesNotReachHaveNoGradient() throws {
    struct Forked: Layer {
      var used = Dense(2)
      var unused = Dense(2)
      mutating func build(
        _ scope: inout LayerScope, input: Shape
      ) throws(TensorError) -> Shape {
        _ = try scope.child("unused", &unused, input: input)
        return try scope.child("used", &used, input: input)
      }
      func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
        pass.step == 0 ? try unused(x, pass) + used(x, pass) : try used(x, pass)
      }
    }
    let model = try Model(Forked(), input: [3], device: .cpu)
    let x = try Tensor.ones([2, 3], on: .cpu)
    for pass in [0, 1] as [UInt64] {
      _ = try model.valueAndGradient(pass: pass) { (pass) throws(TensorError) in
        try model(x, pass).sum()
      }
      #expect(try gradients(model)[0].allSatisfy { $0 == (pass == 0 ? 2 : 0) })
    }
  }

  @Test func optionsAreChecked() throws {
    let model = try model(.cpu)
    func refusal(_ optimizer: Optimizer, clip: Float? = nil) -> String {
      sentence { _ = try Updater(optimizer, for: model, clipGlobalNorm: clip) }
    }
    for rate in [0, -1, .nan, .infinity] as [Float] {
      #expect(refusal(.adam(learningRate: rate)).contains("a finite learning rate above 0"))
      #expect(refusal(.adam(), clip: rate).contains("a finite limit above 0"))
    }
    for beta in [-0.1, 1, .nan] as [Float] {
      #expect(refusal(.adam(beta1: beta)).contains("beta1"))
      #expect(refusal(.adamW(beta2: beta)).contains("beta2"))
      #expect(refusal(.sgd(learningRate: 1, momentum: beta)).contains("momentum"))
    }
    #expect(refusal(.adam(epsilon: 0)).contains("epsilon"))
    #expect(refusal(.adamW(weightDecay: -1)).contains("weight decay"))
    #expect(refusal(.sgd(learningRate: 1, nesterov: true)).contains("Nesterov"))
    #expect(
      refusal(.sgd(learningRate: .nan)) == "sgd: requires a finite learning rate above 0, got nan")
  }

  @Test func lossesAreChecked() {
    #expect(sentence { try Loss.softmaxCrossEntropy(labelSmoothing: 1).validate() } != "")
    #expect(sentence { try Loss.huber(delta: .nan).validate() } != "")
    #expect(sentence { try Loss.softmaxCrossEntropy(labelSmoothing: 0.1).validate() } == "")
  }

  @Test(arguments: TestDevices.all) func lossesOfLabels(_ device: Device) throws {
    let output = try Tensor([1, -2, 0.5, 3], shape: [2, 2], on: device)
    let labels = try Tensor([0, 1] as [Int32], shape: [2], on: device)
    let square = try Loss.meanSquaredError(output, labels).item()
    #expect(abs(square - (0 + 4 + 0.25 + 4) / 4) < 1e-6)
    let absolute = try Loss.meanAbsoluteError(output, labels).item()
    #expect(abs(absolute - (0 + 2 + 0.5 + 2) / 4) < 1e-6)
    let huber = try Loss.huber(delta: 1)(output, labels).item()
    #expect(abs(huber - (0 + 1.5 + 0.125 + 1.5) / 4) < 1e-6)
    #expect(try Metric.accuracy.rightCount(output, labels).item() == 2)
    let single = try Tensor([0.3, 2], shape: [2, 1], on: device)
    #expect(try Metric.accuracy.rightCount(single, labels).item() == 1)
    #expect(try Loss.sigmoidCrossEntropy(single, labels).item().isFinite)
  }

  /// What is counted along with the loss is what an arg max on the host counts, and the loss is the
  /// same bits.
  @Test(arguments: TestDevices.all) func rightAnswersAreCountedWithTheLoss(
    _ device: Device
  ) throws {
    var random = RandomSequence(RandomKey(seed: 4, .user))
    for (rows, columns) in [(1, 2), (33, 10), (700, 10), (900, 10), (5, 1001)] {
      // Few different numbers: largest ones come more than once.
      let values = (0..<(rows * columns)).map { _ in Float(random.next(below: 40)) / 8 }
      let classes = (0..<rows).map { row -> Int32 in
        let own = values[(row * columns)..<((row + 1) * columns)]
        let best = own.firstIndex(of: own.max() ?? 0) ?? 0
        return row % 3 == 0 ? Int32(best - row * columns) : Int32(random.next(below: 2))
      }
      let output = try Tensor(values, shape: [rows, columns], on: device)
      let labels = try Tensor(classes, shape: [rows], on: device)
      let found = try output.argmax(axis: -1).int32Scalars()
      let expected = zip(found, classes).count { $0 == $1 }
      #expect(expected >= rows / 3)
      for loss in [Loss.softmaxCrossEntropy(), .softmaxCrossEntropy(labelSmoothing: 0.1)] {
        let (value, right) = try loss.counting(.accuracy, output, labels)
        #expect(try right?.item() == Float(expected))
        #expect(try value.item().bitPattern == loss(output, labels).item().bitPattern)
        #expect(try loss.counting(nil, output, labels).right == nil)
      }
      #expect(try Metric.accuracy.rightCount(output, labels).item() == Float(expected))
    }
    // Other losses count as ever.
    let output = try Tensor([1, -2, 0.5, 3], shape: [2, 2], on: device)
    let labels = try Tensor([0, 1] as [Int32], shape: [2], on: device)
    #expect(try Loss.meanSquaredError.counting(.accuracy, output, labels).right?.item() == 2)
  }
}
