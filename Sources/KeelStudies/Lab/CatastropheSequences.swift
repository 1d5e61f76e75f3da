import Glibc
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

extension Catastrophe {
  /// A linear recurrent network over 100 steps whose recurrent weight is rho * Q: the gradient of
  /// the state at time t is rho^(T - t) times that of the last.
  static let recurrent = Catastrophe(
    name: "rnn-100",
    summary: "a recurrent network over 100 time steps whose recurrent weight is 1.05 times an "
      + "orthogonal matrix: gradients grow by 1.05 per step back in time",
    traits: [.hiddenLayers, .recurrent], isDeep: true
  ) { (setting) throws(TensorError) in
    let (count, steps, features, spectralRadius) = (8, 100, 2, 1.05)
    let taps = GradientTaps()
    let layers: [any Layer] =
      [
        SimpleRNN(
          8, activation: .identity,
          recurrentInitializer: .orthogonal(gain: Float(spectralRadius))
        ).tapped(taps)
      ] + setting.normalizing(.identity) + [Dense(1)]
    let model = try Model(
      Sequential(layers), input: [steps, features], device: setting.device, seed: setting.seed)
    let inputs = setting.numbers(count * steps * features, stream: 1)
    // What is to be learned: the last value of the first feature.
    let targets = (0..<count).map { inputs[(($0 + 1) * steps - 1) * features] }
    let batch = LabBatch(
      input: try Tensor(inputs, shape: [count, steps, features], on: setting.device),
      target: try Tensor(targets, shape: [count, 1], on: setting.device))
    let growth = (1..<steps).reduce(1.0) { product, _ in product * spectralRadius }
    return Experiment(
      model: model, optimizer: .sgd(learningRate: 0.05), batches: [batch], steps: 60, bound: 1e9,
      goal: Experiment.trivialLoss(targets) * 0.9, loss: Experiment.squaredError,
      theory: [
        .first(
          "‖∂L/∂h₁‖ / ‖∂L/∂h₁₀₀‖", growth, tolerance: 1e-3, formula: "ρ^(T-1)",
          measure: { (_, _) throws(TensorError) in
            let norms = try taps.norms()
            return Double(norms[0]) / Double(norms[steps - 1])
          })
      ])
  }

  /// An LSTM whose recurrent weights are so large that its first gradient is beyond the largest
  /// number.
  static let gated: Catastrophe = {
    let network = SilentLSTM(units: 16, forgetBias: 1, recurrentWeight: 4)
    return Catastrophe(
      name: "lstm-100",
      summary: "an LSTM over 100 time steps, silent but for the last, with open output gates and "
        + "recurrent weights of 4 from each cell to itself: gradients grow by 2.73 per step back "
        + "in time, and overflow",
      traits: [.hiddenLayers, .recurrent, .gated], isDeep: true
    ) { (setting) throws(TensorError) in
      // What comes to the last cells, at least: far more would not change the step.
      let first = 1e-3 * pow(network.growth, Double(SilentLSTM.steps - 3))
      return try network.experiment(
        setting, learningRate: 0.1, steps: 100, bound: 1e9,
        theory: [
          .failsAt(
            first > Double(Float.greatestFiniteMagnitude) ? 1 : 0,
            formula: "(σ(1) + 4/2)^(T-3) > 10³ · 2^128")
        ])
    }
  }()

  /// An LSTM whose forget gates keep too much: one step as long as its gradient saturates all
  /// cells, and large states make the learning rate too high for the layer that reads them.
  static let forget: Catastrophe = {
    let network = SilentLSTM(units: 8, forgetBias: 5, recurrentWeight: 0.08)
    return Catastrophe(
      name: "lstm-forget",
      summary: "the same with a forget bias of 5 and recurrent weights of 0.08: gradients grow by "
        + "1.03 per step back in time, and one step saturates the cells",
      traits: [.hiddenLayers, .recurrent, .gated], isDeep: true
    ) { (setting) throws(TensorError) in
      let taps = GradientTaps()
      let steps = SilentLSTM.steps
      return try network.experiment(
        setting, taps, learningRate: 0.15, steps: 60, bound: 1e4,
        theory: [
          .first(
            "‖∂L/∂h₁‖ / ‖∂L/∂h₉₈‖", pow(network.growth, Double(steps - 3)), tolerance: 1e-3,
            formula: "(σ(5) + 0.08/2)^(T-3)",
            measure: { (_, _) throws(TensorError) in
              let norms = try taps.norms()
              return Double(norms[0]) / Double(norms[steps - 3])
            })
        ])
    }
  }()
}

/// An LSTM over a sequence of which only the last step has an input. Until then its states are 0
/// and its gates stay where their biases put them: the forget gate at f = sigmoid(its bias), the
/// input gate at 1 / 2, the output gate at 1. Each cell sees its own output alone, through the
/// candidate's weight u: the gradient of a cell is multiplied by f + u / 2 per step back.
private struct SilentLSTM {
  static let steps = 100
  var units: Int
  var forgetBias: Float
  var recurrentWeight: Float

  /// What the gradient is multiplied by per step.
  var growth: Double { 1 / (1 + exp(-Double(forgetBias))) + Double(recurrentWeight) / 2 }

  /// To be learned: the first feature of the last step.
  func experiment(
    _ setting: LabSetting, _ taps: GradientTaps = GradientTaps(), learningRate: Float, steps: Int,
    bound: Double, theory: [Experiment.Theory]
  ) throws(TensorError) -> Experiment {
    let (count, features) = (8, 2)
    let last = setting.numbers(count * features, stream: 1)
    let silence = [Float](repeating: 0, count: (SilentLSTM.steps - 1) * features)
    var inputs: [Float] = []
    for example in 0..<count {
      inputs += silence + last[example * features..<(example + 1) * features]
    }
    let targets = (0..<count).map { last[$0 * features] }
    let batch = LabBatch(
      input: try Tensor(
        inputs, shape: [count, SilentLSTM.steps, features], on: setting.device),
      target: try Tensor(targets, shape: [count, 1], on: setting.device))
    return Experiment(
      model: try model(setting, taps, features), optimizer: .sgd(learningRate: learningRate),
      batches: [batch], steps: steps, bound: bound, goal: Experiment.trivialLoss(targets) * 0.5,
      loss: Experiment.squaredError, theory: theory)
  }

  private func model(
    _ setting: LabSetting, _ taps: GradientTaps, _ features: Int
  ) throws(TensorError) -> Model {
    let layers: [any Layer] =
      [LSTM(units, forgetBias: setting.forgetBias ?? forgetBias).tapped(taps)]
      + setting.normalizing(.identity) + [Dense(1)]
    let model = try Model(
      Sequential(layers), input: [SilentLSTM.steps, features], device: setting.device,
      seed: setting.seed)
    // The gates in the order input, forget, candidate, output.
    var recurrent = [Float](repeating: 0, count: units * 4 * units)
    for unit in 0..<units { recurrent[unit * 4 * units + 2 * units + unit] = recurrentWeight }
    try model.setWeights(recurrent, named: "lstm1.recurrent.weight")
    var biases = try model.weights(named: "lstm1.bias")
    for unit in 3 * units..<4 * units { biases[unit] = 20 }
    try model.setWeights(biases, named: "lstm1.bias")
    return model
  }
}
