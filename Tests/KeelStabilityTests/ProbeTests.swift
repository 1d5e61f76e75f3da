import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// The dry run before training: every number against what is known in closed form.
@Suite struct ProbeTests {
  private typealias Batches = [(inputs: Tensor, targets: Tensor)]
  private let curvatureOnly = ProbeOptions(checksWidth: false)
  private let withoutCurvature = ProbeOptions(curvatureIterations: 0, checksWidth: false)

  /// Element of a Hadamard matrix: rows and columns are orthogonal.
  private func hadamard(_ row: Int, _ column: Int) -> Double {
    (row & column).nonzeroBitCount % 2 == 0 ? 1 : -1
  }

  /// 8 x 4 inputs with X'X = 8 Q' diag(s²) Q for an orthogonal Q that mixes all columns.
  private func inputs(_ scales: [Double]) -> [Float] {
    (0..<8).flatMap { row in
      (0..<4).map { column in
        Float(
          (0..<4).reduce(0) {
            $0 + hadamard(row, $1) * scales[$1] * hadamard($1, column) / 2
          })
      }
    }
  }

  /// Linear regression of 8 examples with two outputs: the loss is quadratic, with the Hessian
  /// 2 / (8 * 2) X'X in each output.
  private func regression(
    _ device: Device, split: [Int] = [8]
  ) throws -> (model: Model, batches: Batches, largest: Double) {
    let scales = [1.5, 1.4, 0.9, 0.7]
    let x = inputs(scales)
    let targets = RandomDistribution.normal(mean: 0, deviation: 1).values(
      16, key: RandomKey(seed: 5, .user))
    let model = try Model(Dense(2, usesBias: false), input: [4], device: device, seed: 2)
    var batches: Batches = []
    var start = 0
    for count in split {
      let end = start + count
      batches.append(
        (
          try Tensor(Array(x[(start * 4)..<(end * 4)]), shape: [count, 4], on: device),
          try Tensor(Array(targets[(start * 2)..<(end * 2)]), shape: [count, 2], on: device)
        ))
      start = end
    }
    return (model, batches, 1.5 * 1.5)
  }

  @Test(arguments: TestDevices.all)
  func largestEigenvalueOfAQuadratic(_ device: Device) throws {
    // Two batches of unequal size: the mean loss is that of all examples.
    for split in [[8], [5, 3]] {
      let (model, batches, largest) = try regression(device, split: split)
      let report = try model.probe(batches, loss: .meanSquaredError, options: curvatureOnly)
      let curvature = try #require(report.curvature)
      let found = try #require(curvature.largestEigenvalue)
      #expect(abs(found / largest - 1) < 0.01, "\(found) for \(largest)")
      #expect(curvature.isConverged && curvature.remark == nil)
      #expect(try abs(#require(curvature.safeLearningRate) * found - 2) < 1e-9)
      #expect(report.examples == 8 && report.batches == split.count)
    }
  }

  @Test(arguments: TestDevices.all)
  func theSafeLearningRateIsTheBorder(_ device: Device) throws {
    func distance(_ factor: Double) throws -> (first: Float, last: Float) {
      let (model, batches, _) = try regression(device)
      let report = try model.probe(batches, loss: .meanSquaredError, options: curvatureOnly)
      let rate = try #require(report.curvature?.safeLearningRate) * factor
      let updater = try Updater(.sgd(learningRate: Float(rate)), for: model)
      func step() throws -> Tensor {
        try model.valueAndGradient { (pass) throws(TensorError) in
          try Loss.meanSquaredError(model(batches[0].inputs, pass), batches[0].targets)
        }
      }
      func norm() throws -> Float {
        let gradient = try #require(model.parameters[0].gradient)
        return try gradient.scalars().reduce(0) { $0 + $1 * $1 }.squareRoot()
      }
      _ = try step()
      let first = try norm()
      for _ in 0..<200 {
        try updater.update()
        _ = try step()
      }
      return (first, try norm())
    }
    let below = try distance(0.98)
    #expect(below.last < 1e-2 * below.first, "\(below)")
    let above = try distance(1.05)
    #expect(above.last > 1e4 * above.first, "\(above)")
  }

  /// The strongest curvature of |abc - t| is downwards: at a = b = c = 1 the eigenvalues are
  /// -2, 1 and 1.
  @Test(arguments: TestDevices.all)
  func downwardCurvatureDoesNotCount(_ device: Device) throws {
    let model = try Model(
      Sequential { for _ in 0..<3 { Dense(1, usesBias: false, initializer: .ones) } },
      input: [1], device: device)
    let batch = (
      inputs: try Tensor([1] as [Float], shape: [1, 1], on: device),
      targets: try Tensor([10] as [Float], shape: [1, 1], on: device)
    )
    let report = try model.probe([batch], loss: .meanAbsoluteError, options: curvatureOnly)
    let found = try #require(report.curvature?.largestEigenvalue)
    #expect(abs(found - 1) < 0.01, "\(found)")
  }

  @Test func frozenParametersHaveNoCurvature() throws {
    let (model, batches, _) = try regression(.cpu)
    try model.freeze()
    let report = try model.probe(batches, loss: .meanSquaredError)
    #expect(report.curvature?.largestEigenvalue == nil)
    #expect(report.curvature?.remark == "no parameter is trainable")
    #expect(report.gradients.batches == [0])
    #expect(report.layers[0].gain != nil)
  }

  /// A deep linear network of scaled orthogonal matrices: the gain of a layer is its scale, and so
  /// is the root of what it multiplies the second moment by.
  @Test(arguments: TestDevices.all)
  func gainsOfDeepLinearNets(_ device: Device) throws {
    let scales: [Double] = [2, 0.5, 10, 1e-3, 100, 3, 1e-2, 0.25]
    let model = try Model(
      Sequential { for _ in scales { Dense(8, usesBias: false) } }, input: [8], device: device)
    for (number, scale) in scales.enumerated() {
      let matrix = (0..<64).map { place -> Float in
        let (row, column) = (place / 8, place % 8)
        // Identities in turn with matrices that mix everything.
        let entry =
          number % 2 == 0
          ? (row == column ? 1 : 0) : hadamard(row, column) / Double(8).squareRoot()
        return Float(scale * entry)
      }
      try model.setWeights(matrix, named: "dense\(number + 1).weight")
    }
    let random = RandomDistribution.normal(mean: 0.3, deviation: 1)
    func tensor(_ seed: UInt64) throws -> Tensor {
      try Tensor(
        random.values(128, key: RandomKey(seed: seed, .user)), shape: [16, 8], on: device)
    }
    let x = try tensor(1)
    let report = try model.probe(
      [(x, tensor(2)), (x, tensor(3))], loss: .meanSquaredError, options: withoutCurvature)
    #expect(report.layers.map(\.path) == scales.indices.map { "dense\($0 + 1)" })
    var second = try x.scalars().reduce(0.0) { $0 + Double($1) * Double($1) } / 128
    for (layer, scale) in zip(report.layers, scales) {
      let gain = try #require(layer.gain)
      #expect(abs(gain / scale - 1) < 1e-5, "\(layer.path): \(gain) for \(scale)")
      second *= scale * scale
      let (mean, variance) = try (#require(layer.mean), #require(layer.variance))
      #expect(abs((variance + mean * mean) / second - 1) < 1e-4, "\(layer.path)")
      #expect(layer.linearVariance == layer.variance)
    }
    let whole = try #require(report.network?.gain)
    #expect(abs(whole / scales.reduce(1, *) - 1) < 1e-5)
    // 1000 times and more at the input of the third layer.
    #expect(report.gradients.batches.count == 2)
  }

  /// A branch beside a way around it: the gain of the branch is its own.
  private struct Around: Layer {
    var inner = Dense(3, usesBias: false)
    mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
      try scope.child("inner", &inner, input: input)
    }
    func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
      try x + pass.run(inner, as: "inner", on: x)
    }
  }

  @Test(arguments: TestDevices.all) func gainsOfBranches(_ device: Device) throws {
    let model = try Model(Sequential { Around() }, input: [3], device: device)
    try model.setWeights([0.5, 0, 0, 0, 0.5, 0, 0, 0, 0.5], named: "around1.inner.weight")
    let x = try Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3], on: device)
    let report = try model.probe(
      [(x, x)], loss: .meanSquaredError, options: withoutCurvature)
    #expect(report.layers.map(\.path) == ["around1", "around1.inner"])
    #expect(report.layers.map(\.depth) == [0, 1])
    #expect(try abs(#require(report.layers[0].gain) - 1.5) < 1e-6)
    #expect(try abs(#require(report.layers[1].gain) - 0.5) < 1e-6)
  }

  private func digits() throws -> Dataset { try SyntheticDigits.dataset(.train, count: 48) }

  @Test(arguments: TestDevices.all) func nothingIsChanged(_ device: Device) throws {
    func model() throws -> Model {
      let model = try Model(
        Sequential {
          Conv2D(4, kernel: 3)
          BatchNorm()
          MaxPool2D(4)
          Flatten()
          Dropout(0.3)
          Dense(10)
        }, input: [28, 28, 1], device: device, seed: 4)
      _ = try step(model)
      return model
    }
    func step(_ model: Model) throws -> [[UInt32]] {
      let x = try Tensor.ones([2, 28, 28, 1], on: device)
      let labels = try Tensor([1, 2] as [Int32], shape: [2], on: device)
      let value = try model.valueAndGradient { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(model(x, pass), labels)
      }
      return try [[value.item().bitPattern]] + bits(model)
    }
    func bits(_ model: Model) throws -> [[UInt32]] {
      let gradients = try model.parameters.map { try $0.gradient?.scalars() ?? [] }
      let values = try (model.parameters.map(\.name) + model.states.map(\.name)).map {
        try model.weights(named: $0)
      }
      return (gradients + values).map { $0.map(\.bitPattern) }
    }
    let (probed, twin) = (try model(), try model())
    let before = try bits(probed)
    let options = ProbeOptions(batches: 2, batchSize: 16, curvatureIterations: 6)
    let report = try probed.probe(digits(), loss: .softmaxCrossEntropy(), options: options)
    #expect(try bits(probed) == before)
    // Again: the same report. And training goes on as if nothing had been.
    #expect(
      try probed.probe(digits(), loss: .softmaxCrossEntropy(), options: options) == report)
    #expect(try step(probed) == step(twin))
    // After an error, too.
    let x = try Tensor.ones([2, 28, 28, 1], on: device)
    let now = try bits(probed)
    let error = sentence {
      _ = try probed.probe([(x, x)], loss: .softmaxCrossEntropy(), options: options)
    }
    #expect(!error.isEmpty)
    #expect(try bits(probed) == now)
  }

  @Test(arguments: TestDevices.all) func garbageGivesAReport(_ device: Device) throws {
    let kinds: [(String, Float, Float)] = [
      ("NaN weights", .nan, 1), ("infinite inputs", 0.1, .infinity), ("NaN inputs", 0.1, .nan),
      ("huge weights", 1e30, 1), ("huge inputs", 1, 3e38), ("no weights", 0, 1),
      ("no inputs", 0.1, 0), ("tiny", 1e-30, 1e-30),
    ]
    for (name, weight, input) in kinds {
      let model = try Model(
        Models.mlp(hidden: [6, 6], classes: 3), input: [4], device: device, seed: 1)
      for parameter in model.parameters where parameter.shape.rank == 2 {
        try model.setWeights(
          (0..<parameter.shape.count).map { weight * Float($0 % 3) }, named: parameter.name)
      }
      let x = try Tensor((0..<20).map { input * Float($0 % 5) }, shape: [5, 4], on: device)
      let labels = try Tensor([0, 1, 2, 0, 1] as [Int32], shape: [5], on: device)
      let report = try model.probe([(x, labels)], loss: .softmaxCrossEntropy())
      let data = try JSONEncoder().encode(report)
      #expect(try JSONDecoder().decode(ProbeReport.self, from: data) == report)
      #expect(!report.description.contains("nan"), "\(name): \(report)")
      #expect(report.html(subject: name).contains("</html>"))
      #expect(report.forward != .ok, "\(name): \(report)")
      if !weight.isFinite || !input.isFinite {
        #expect(report.forward == .notFinite && report.curvature?.largestEigenvalue == nil)
        #expect(report.gradients.suggestedClip == nil && report.loss == nil)
      }
    }
  }

  @Test func verdictsOnInitialization() throws {
    func report(_ gain: Float) throws -> ProbeReport {
      let model = try Model(
        Models.mlp(hidden: [16, 16, 16, 16, 16], classes: 3), input: [8], device: .cpu, seed: 1)
      try model.initialize(.heNormal)
      for parameter in model.parameters where parameter.shape.rank == 2 {
        try model.setWeights(
          try model.weights(named: parameter.name).map { $0 * gain }, named: parameter.name)
      }
      let x = try Tensor(
        RandomDistribution.normal(mean: 0, deviation: 1).values(
          256, key: RandomKey(seed: 3, .user)), shape: [32, 8], on: .cpu)
      let labels = try Tensor((0..<32).map { Int32($0 % 3) }, shape: [32], on: .cpu)
      return try model.probe(
        [(x, labels)], loss: .softmaxCrossEntropy(), options: withoutCurvature)
    }
    let good = try report(1)
    #expect(good.forward == .ok && good.backward == .ok)
    #expect(try #require(good.varianceDeviation) < 10)
    let loud = try report(30)
    #expect(loud.forward == .explodes && loud.backward == .explodes)
    // 900 times the variance per layer: beyond 1000 in the second.
    #expect(loud.forwardLayer == "dense1" || loud.forwardLayer == "dense2")
    #expect(loud.description.contains("values: explode"))
    let quiet = try report(0.03)
    #expect(quiet.forward == .vanishes && quiet.backward == .vanishes)
    #expect(quiet.description.contains("gradients: vanish"))
  }

  @Test(arguments: TestDevices.all) func clipThresholdIsAPercentile(_ device: Device) throws {
    let (model, _, _) = try regression(device)
    try model.setWeights([Float](repeating: 0, count: 8), named: "weight")
    // With weights of 0 the gradient is -2 x t / 2: its norm is that of the target.
    let batches = try (1...11).map { size in
      (
        inputs: try Tensor([1, 0, 0, 0], shape: [1, 4], on: device),
        targets: try Tensor([Float(size), 0], shape: [1, 2], on: device)
      )
    }
    let report = try model.probe(batches, loss: .meanSquaredError, options: withoutCurvature)
    #expect(report.gradients.batches == (1...11).map { Double($0) })
    #expect(report.gradients.median == 6 && report.gradients.largest == 11)
    #expect(report.gradients.suggestedClip == 10)
  }

  @Test func widthCheckKnowsMuPFromTheRest() throws {
    let labels = try Tensor((0..<16).map { Int32($0 % 3) }, shape: [16], on: .cpu)
    let x = try Tensor(
      RandomDistribution.normal(mean: 0, deviation: 1).values(
        128, key: RandomKey(seed: 3, .user)), shape: [16, 8], on: .cpu)
    let model = try Model(
      ModelRecipe.mlp(hidden: [128, 128], classes: 3), input: [8], device: .cpu, seed: 1)
    let options = ProbeOptions(curvatureIterations: 0)
    let width = try #require(
      try model.probe([(x, labels)], loss: .softmaxCrossEntropy(), options: options).width)
    #expect(width.widths == [64, 128, 256] && width.layers.count == 3)
    #expect(!width.isFlat, "\(width)")
    // Learning rates of its own: a parametrisation that cannot be made again.
    try model.setLearningRateScale(0.5, at: "dense2")
    #expect(
      try model.probe([(x, labels)], loss: .softmaxCrossEntropy(), options: options).width == nil)
    let other = try Model(Models.mlp(hidden: [8], classes: 3), input: [8], device: .cpu)
    #expect(
      try other.probe([(x, labels)], loss: .softmaxCrossEntropy(), options: options).width == nil)
  }

  @Test func badOptionsAreRefused() throws {
    let model = try Model(Models.mlp(hidden: [8], classes: 10), input: [28, 28, 1], device: .cpu)
    for options in [ProbeOptions(batches: 0), ProbeOptions(batchSize: -1)] {
      let error = sentence {
        _ = try model.probe(digits(), loss: .softmaxCrossEntropy(), options: options)
      }
      #expect(error.contains("at least one batch of at least one example"))
    }
    #expect(
      sentence { _ = try model.probe([], loss: .softmaxCrossEntropy()) }
        .contains("at least one batch"))
    #expect(
      sentence {
        _ = try model.probe(digits(), loss: .softmaxCrossEntropy(labelSmoothing: 2))
      }.contains("label smoothing"))
  }
}
