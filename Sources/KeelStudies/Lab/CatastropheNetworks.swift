import Glibc
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

extension Catastrophe {
  /// A loss of large units in half precision: one batch in eight holds inputs four times as large
  /// as the others, whose loss passes the largest half number, 65504.
  static let half = Catastrophe(
    name: "half",
    summary: "a loss cast to half precision, which overflows above 65504 for one batch in eight",
    traits: [.hiddenLayers, .half], isDeep: false
  ) { (setting) throws(TensorError) in
    let unit: Float = 16384
    var data = TeacherData(setting, batches: 8, examples: 8, features: 8)
    data.inputs[3] = data.inputs[3].map { 4 * $0 }
    data.targets[3] = data.targets[3].map { 4 * $0 }
    // What the network says at first is small beside these labels.
    let overflows = data.targets.firstIndex { targets in
      let squares = targets.reduce(0.0) { $0 + Double($1) * Double($1) }
      return Double(unit) * squares / Double(targets.count) > 65520
    }
    return Experiment(
      model: try Model(
        setting.stack(
          hidden: 1, width: 16, outputs: 1, activation: .tanh, initializer: .glorotUniform),
        input: [8], device: setting.device, seed: setting.seed),
      optimizer: .adam(learningRate: 0.01), batches: try data.batches(bad: [3]), steps: 80,
      bound: 1e9, goal: 0.5 * Double(unit) * Experiment.trivialLoss(data.targets[0]),
      loss: { (output, target, factor) throws(TensorError) in
        let error = try output.meanSquaredError(target)
        return try (error * (unit * factor)).roundedToHalf()
      },
      theory: [
        .failsAt((overflows ?? -1) + 1, formula: "the first batch with 2^14 Σ y² / n > 65520")
      ])
  }

  /// Adam on clean data but for one batch in eight, which holds a NaN.
  static let poison = Catastrophe(
    name: "poison", summary: "Adam, and one NaN in one batch of eight",
    traits: [.hiddenLayers], isDeep: false
  ) { (setting) throws(TensorError) in
    var data = TeacherData(setting, batches: 8, examples: 8, features: 8)
    data.inputs[4][3] = .nan
    return Experiment(
      model: try Model(
        setting.stack(
          hidden: 2, width: 16, outputs: 1, activation: .relu, initializer: .heNormal),
        input: [8], device: setting.device, seed: setting.seed),
      optimizer: .adam(learningRate: 0.01), batches: try data.batches(bad: [4]), steps: 80,
      bound: 1e9, goal: 0.5 * Experiment.trivialLoss(data.targets[0]),
      loss: Experiment.squaredError,
      theory: [.failsAt(5, formula: "the number of the batch with the NaN")])
  }

  /// Regression in which one label has slipped by four digits.
  static let outlier = Catastrophe(
    name: "outlier",
    summary: "regression with one label of 10000 among labels of about 1, met at step 41",
    traits: [.hiddenLayers], isDeep: false
  ) { (setting) throws(TensorError) in
    var data = TeacherData(setting, batches: 64, examples: 8, features: 8)
    let goal = 0.5 * Experiment.trivialLoss(data.targets[0])
    data.targets[40][5] = 1e4
    return Experiment(
      model: try Model(
        setting.stack(
          hidden: 3, width: 16, outputs: 1, activation: .relu, initializer: .heNormal),
        input: [8], device: setting.device, seed: setting.seed),
      optimizer: .sgd(learningRate: 0.02), batches: try data.batches(bad: [40]), steps: 96,
      bound: 1e9, goal: goal, loss: Experiment.squaredError)
  }

  /// Weights as the literal form of shrink and perturb leaves them: all positive, so that each relu
  /// layer multiplies the mean activation by 0.0556 * fan-in.
  static let articleInit = Catastrophe(
    name: "article-init",
    summary: "six relu layers of 64 units after w ← 0.1 w + 0.1 U(0, 1): all weights are positive, "
      + "and activations grow by 0.0556 · 64 per layer",
    traits: [.hiddenLayers], isDeep: false
  ) { (setting) throws(TensorError) in
    let (hidden, width, features, times) = (6, 64, 16, 5)
    var data = TeacherData(setting, batches: 1, examples: 16, features: features)
    data.inputs[0] = data.inputs[0].map { ($0 + 1) / 2 }
    let model = try Model(
      setting.stack(
        hidden: hidden, width: width, outputs: 1, activation: .relu, initializer: .heNormal),
      input: [features], device: setting.device, seed: setting.seed)
    try ShrinkAndPerturb.article(learningRate: 0.1).initialize(model, times: times)
    // The mean of a weight is 0.1 / (2 * (1 - 0.1)), but for what is left of the first values.
    let mean = 0.1 / 2 / (1 - 0.1)
    let inputMean =
      data.inputs[0].reduce(0.0) { $0 + Double($1) } / Double(data.inputs[0].count)
    let output =
      inputMean * mean * Double(features) * pow(mean * Double(width), Double(hidden))
    let batches = try data.batches(bad: [])
    let measured = Double(try model(batches[0].input).mean().item())
    let bound = 1e4
    return Experiment(
      model: model, optimizer: .sgd(learningRate: 0.01), batches: batches, steps: 60,
      bound: bound, goal: 0.5 * Experiment.trivialLoss(data.targets[0]),
      loss: Experiment.squaredError,
      theory: [
        .first(
          "mean output before the first step", output, tolerance: 0.05,
          formula: "x̄ · 0.0556 · 16 · (0.0556 · 64)^6",
          measure: { _, _ in measured }),
        .failsAt(output * output > bound ? 1 : 0, formula: "the square of that > 1e4"),
      ])
  }

  /// Fifty relu layers without normalisation, whose weights were multiplied by 1000 and 1 / 1000 in
  /// turn: the function is that of good weights, the gradients are not.
  static let deepRelu = Catastrophe(
    name: "relu-50",
    summary: "50 relu layers without normalisation, multiplied by 1000 and 1/1000 in turn",
    traits: [.hiddenLayers], isDeep: true
  ) { (setting) throws(TensorError) in
    let (count, features, width) = (32, 8, 32)
    let inputs = setting.numbers(count * features, stream: 1)
    let labels = (0..<count).map { example in
      Int32(inputs[example * features] + inputs[example * features + 1] > 0 ? 1 : 0)
    }
    let model = try Model(
      setting.stack(
        hidden: 49, width: width, outputs: 2, activation: .relu, initializer: .heNormal),
      input: [features], device: setting.device, seed: setting.seed)
    for (place, parameter) in model.parameters.filter({ $0.shape.rank == 2 }).enumerated() {
      let scale: Float = place % 2 == 0 ? 1e3 : 1e-3
      try model.setWeights(
        try model.weights(named: parameter.name).map { $0 * scale }, named: parameter.name)
    }
    return Experiment(
      model: model, optimizer: .sgd(learningRate: 0.01),
      batches: [
        LabBatch(
          input: try Tensor(inputs, shape: [count, features], on: setting.device),
          target: try Tensor(labels, shape: [count], on: setting.device))
      ],
      steps: 80, bound: 1e6, goal: 0.62, loss: Experiment.crossEntropy)
  }
}

/// Inputs in -1 ..< 1, and the labels that a fixed linear teacher gives them.
struct TeacherData {
  var inputs: [[Float]]
  var targets: [[Float]]
  private let features: Int
  private let device: Device

  init(_ setting: LabSetting, batches: Int, examples: Int, features: Int) {
    self.features = features
    device = setting.device
    let teacher = setting.numbers(features, stream: 0)
    inputs = (0..<batches).map { setting.numbers(examples * features, stream: 1 + $0) }
    targets = inputs.map { rows in
      (0..<examples).map { example in
        (0..<features).reduce(Float(0)) { $0 + teacher[$1] * rows[example * features + $1] }
      }
    }
  }

  /// On the device.
  func batches(bad: Set<Int>) throws(TensorError) -> [LabBatch] {
    var batches: [LabBatch] = []
    for (number, (rows, labels)) in zip(inputs, targets).enumerated() {
      batches.append(
        LabBatch(
          input: try Tensor(rows, shape: [labels.count, features], on: device),
          target: try Tensor(labels, shape: [labels.count, 1], on: device),
          isBad: bad.contains(number)))
    }
    return batches
  }
}
