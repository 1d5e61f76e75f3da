import KeelTraining
import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability

/// The variants of the study of the equity transform and batch normalisation.
struct EquityPlans {
  /// Passes over the data.
  let epochs: Int
  /// The network that is out of scale.
  let scaled: ScaledNetwork
  let data: TrialData
  /// The title of their section.
  let group: String

  /// The batch that transforms and calibrations look at.
  private func batch() throws -> TrialBatch {
    try TrialBatch(data.train, 0..<min(256, data.train.count), on: data.device)
  }

  private func plan(
    _ name: String, _ network: Sequential, rate: Float, prepare: @escaping (Model) throws -> Void
  ) -> TrialPlan {
    var plan = TrialPlan(
      name: name, group: group, network: network,
      optimizer: .sgd(learningRate: rate, momentum: 0.9),
      epochs: epochs)
    plan.stability.maximumSkips = 3
    plan.prepare = prepare
    return plan
  }

  /// The badly scaled network with each remedy; the first is the network in scale.
  func remedies() throws -> [TrialPlan] {
    func balance(_ model: Model, _ choice: EquityTransform.Choice) throws {
      // The batches that training meets, not one large one: what is to be small is their gradients.
      let batches = try (0..<min(100, data.train.count / 32)).map { number in
        try TrialBatch(data.train, (32 * number)..<(32 * number + 32), on: data.device)
      }
      try EquityTransform(choice).prepare(model, batches: batches.count) {
        (number, pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(
          model(batches[number].inputs, pass), batches[number].labels)
      }
    }
    func scale(_ model: Model) throws { try ScaledNetwork.scale(model) }
    // What batch normalisation does not reach, the last layer, stays in scale.
    func scaleHidden(_ model: Model) throws {
      try ScaledNetwork.scale(model, first: scaled.depth)
    }
    func calibrate(_ model: Model) throws {
      try model.calibrateBatchNorm([try batch().inputs], upstream: .calibratedStatistics)
    }
    let (plain, normalised) = (scaled.plain, scaled.normalised)
    let rate: Float = scaled.depth > 30 ? 0.003 : 0.02
    var plans = [
      plan("in scale", plain, rate: rate) { _ in },
      plan("out of scale", plain, rate: rate, prepare: scale),
      plan("equity at the start", plain, rate: rate) { model in
        try ScaledNetwork.scale(model)
        try balance(model, .gradientBalancing)
      },
      plan("equity of weights at the start", plain, rate: rate) { model in
        try ScaledNetwork.scale(model)
        try balance(model, .weightBalancing)
      },
    ]
    func periodic(_ name: String, limit: Double, memory: Double) throws -> TrialPlan {
      var periodic = plan(name, plain, rate: rate) { model in
        try ScaledNetwork.scale(model)
        try balance(model, .gradientBalancing)
      }
      periodic.stability.equity = PeriodicEquity(
        try EquityTransform(), ifImbalanceAbove: limit, every: 10, memory: memory)
      return periodic
    }
    plans += [
      try periodic("equity every 10 steps, of one batch", limit: 1, memory: 0),
      try periodic(
        "equity every 10 steps, of the mean", limit: 1, memory: PeriodicEquity.usualMemory),
      try periodic(
        "equity where out of balance by 32", limit: 32, memory: PeriodicEquity.usualMemory),
      plan("batch-norm online", normalised, rate: rate, prepare: scaleHidden),
      plan("batch-norm offline, calibrated first", normalised, rate: rate) { model in
        try scaleHidden(model)
        try calibrate(model)
      },
      plan("batch-norm online and equity", normalised, rate: rate) { model in
        try scaleHidden(model)
        try balanceBeforeNorms(model)
      },
    ]
    return plans
  }

  /// Equity in front of batch normalisations: filters of norm 1, running statistics along.
  private func balanceBeforeNorms(_ model: Model) throws {
    let batch = try batch()
    try EquityTransform(.weightBalancing, beforeBatchNorm: .unitNorm).prepare(model) {
      (pass) throws(TensorError) in
      try Loss.softmaxCrossEntropy()(model(batch.inputs, pass), batch.labels)
    }
  }

  /// One form of the conv + LSTM(32) x 2 + Dense model.
  struct Recurrent {
    var name: String
    var forgetBias: Float = 1
    var initializer = Initializer.orthogonal()
    var isNormalised = false
    var usesEquity = false

    func network(_ taps: GradientTaps) -> Sequential {
      Sequential {
        if isNormalised {
          Conv2D(32, kernel: 3, usesBias: false)
          BatchNorm(momentum: 0.9, activation: .relu)
        } else {
          Conv2D(32, kernel: 3, activation: .relu)
        }
        MaxPool2D(2)
        RowsAsSteps()
        LSTM(
          32, returnsSequences: true, forgetBias: forgetBias, recurrentInitializer: initializer
        ).tapped(taps)
        LSTM(32, forgetBias: forgetBias, recurrentInitializer: initializer).tapped(taps)
        Dense(10)
      }
    }
  }

  static let recurrent = [
    Recurrent(name: "forget bias 1, orthogonal"),
    Recurrent(name: "forget bias 0, orthogonal", forgetBias: 0),
    Recurrent(name: "forget bias 1, Glorot", initializer: .glorotUniform),
    Recurrent(name: "forget bias 0, Glorot", forgetBias: 0, initializer: .glorotUniform),
    Recurrent(name: "with batch-norm", isNormalised: true),
    Recurrent(name: "with equity", usesEquity: true),
    Recurrent(name: "with batch-norm and equity", isNormalised: true, usesEquity: true),
  ]

  func plan(of recurrent: Recurrent, _ taps: GradientTaps) -> TrialPlan {
    var plan = TrialPlan(
      name: recurrent.name, group: group, network: recurrent.network(taps),
      optimizer: .adam(learningRate: 0.003), epochs: epochs)
    plan.prepare = { model in
      guard recurrent.usesEquity else { return }
      let batch = try batch()
      try EquityTransform().prepare(model) { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(model(batch.inputs, pass), batch.labels)
      }
    }
    return plan
  }
}
