import Glibc
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

extension Catastrophe {
  /// All of them, those first whose failure has a closed form.
  package static let all: [Catastrophe] = [
    quadratic, deepLinear, recurrent, gated, forget, softmax, half, poison, outlier, articleInit,
    deepRelu,
  ]

  /// Plain descent on sum of lambda_i / 2 * w_i^2 with a rate above 2 / lambda_max: the error of
  /// the steepest direction is multiplied by 1 - rate * lambda each step.
  static let quadratic = Catastrophe(
    name: "quadratic",
    summary: "plain descent on a quadratic with a learning rate of 3 / λ_max, above the limit of "
      + "2 / λ_max",
    traits: [], isDeep: false
  ) { (setting) throws(TensorError) in
    let count = 8
    let curvatures = (0..<count).map { 10 / Double(1 << $0) }
    // The mean over n rows of (x_i * w_i)^2 is the quadratic for x_i = sqrt(n * lambda_i / 2).
    var rows = [Float](repeating: 0, count: count * count)
    for (i, curvature) in curvatures.enumerated() {
      rows[i * count + i] = Float((Double(count) * curvature / 2).squareRoot())
    }
    let device = setting.device
    let model = try Model(
      Sequential { Dense(1, usesBias: false, initializer: .ones) }, input: [count],
      device: device, seed: setting.seed)
    let batch = LabBatch(
      input: try Tensor(rows, shape: [count, count], on: device),
      target: try Tensor.zeros([count, 1], on: device))
    let rate = 0.3
    func loss(after updates: Int) -> Double {
      curvatures.reduce(0) { sum, curvature in
        var weight = 1.0
        for _ in 0..<updates { weight *= 1 - rate * curvature }
        return sum + curvature / 2 * weight * weight
      }
    }
    let bound = 1e9
    let updates = (0..<200).first { loss(after: $0) > bound } ?? 0
    let squares = curvatures.reduce(0) { $0 + $1 * $1 }
    return Experiment(
      model: model, optimizer: .sgd(learningRate: Float(rate)), batches: [batch], steps: 130,
      bound: bound, goal: loss(after: 0) / 2, loss: Experiment.squaredError,
      theory: [
        .failsAt(updates + 1, formula: "Σ λ/2 (1 - ηλ)^2k > 1e9, step k + 1"),
        .first(
          "first gradient norm", squares.squareRoot(), tolerance: 1e-5, formula: "√Σλ²",
          measure: { _, report in Double(report.norm) }),
      ])
  }

  /// A linear network whose layers are rho times orthogonal matrices Q_l, fitted to c times their
  /// product with the identity as input: all layers stay multiples s * Q_l, and s follows a
  /// recurrence.
  static let deepLinear = Catastrophe(
    name: "deep-linear",
    summary: "a linear network of 20 layers whose weights are 1.2 times an orthogonal matrix: "
      + "gradients grow by 1.2 per layer",
    traits: [.hiddenLayers], isDeep: false
  ) { (setting) throws(TensorError) in
    let (depth, width, spectralRadius, scale, rate) = (20, 16, 1.2, 2.0, 0.5)
    func model(gain: Double, _ setting: LabSetting) throws(TensorError) -> Model {
      try Model(
        setting.stack(
          hidden: depth - 1, width: width, outputs: width, activation: .identity,
          initializer: .orthogonal(gain: Float(gain)), usesBias: false),
        input: [width], device: setting.device, seed: setting.seed)
    }
    var identity = [Float](repeating: 0, count: width * width)
    for i in 0..<width { identity[i * width + i] = 1 }
    let input = try Tensor(identity, shape: [width, width], on: setting.device)
    var plain = setting
    plain.normalization = .none
    let target = try model(gain: 1, plain)(input).detached() * Float(scale)
    func power(_ base: Double, _ exponent: Int) -> Double {
      (0..<exponent).reduce(1) { product, _ in product * base }
    }
    // The gradient of each layer is slope(s) * Q_l, whose norm is slope(s) * sqrt(width).
    let n = Double(width)
    func slope(_ s: Double) -> Double {
      2 / (n * n) * (power(s, depth) - scale) * power(s, depth - 1)
    }
    let bound = 1e9
    var (s, step) = (spectralRadius, 1)
    while power(power(s, depth) - scale, 2) / n <= bound, step < 60 {
      s -= rate * slope(s)
      step += 1
    }
    let norm = slope(spectralRadius) * (n * Double(depth)).squareRoot()
    return Experiment(
      model: try model(gain: spectralRadius, setting),
      optimizer: .sgd(learningRate: Float(rate)), batches: [LabBatch(input: input, target: target)],
      steps: 60, bound: bound, goal: scale * scale / n / 2, loss: Experiment.squaredError,
      theory: [
        .failsAt(step, formula: "s ← s - η 2/n² (s^L - c) s^(L-1) until (s^L - c)²/n > 1e9"),
        .first(
          "first gradient norm", norm, tolerance: 1e-4,
          formula: "2/n² (ρ^L - c) ρ^(L-1) √(nL)", measure: { _, report in Double(report.norm) }),
      ])
  }

  /// A softmax written out as exp(z) / sum exp(z), whose logits pass the logarithm of the largest
  /// number after one step.
  static let softmax = Catastrophe(
    name: "softmax",
    summary: "cross-entropy from exp(z) / Σ exp(z) written out: logits above 88.7 overflow",
    traits: [.softmax], isDeep: false
  ) { (setting) throws(TensorError) in
    let (count, size, rate) = (4, 40.0, 0.5)
    var rows = [Float](repeating: 0, count: count * count)
    for i in 0..<count { rows[i * count + i] = Float(size) }
    let labels: [Float] = (0..<count).flatMap { $0 % 2 == 0 ? [1, 0] as [Float] : [0, 1] }
    let model = try Model(
      Sequential { Dense(2, usesBias: false, initializer: .zeros) }, input: [count],
      device: setting.device, seed: setting.seed)
    let batch = LabBatch(
      input: try Tensor(rows, shape: [count, count], on: setting.device),
      target: try Tensor(labels, shape: [count, 2], on: setting.device))
    // Rows do not meet: each has z = ±logit, the gradient of whose weights is ∓size * miss / count.
    var (logit, step) = (0.0, 1)
    let overflow = 88.7228
    while logit < overflow, step < 40 {
      let odds = exp(2 * logit)
      logit += rate * size * size / Double(count) / (1 + odds)
      step += 1
    }
    return Experiment(
      model: model, optimizer: .sgd(learningRate: Float(rate)), batches: [batch], steps: 40,
      bound: 1e9, goal: 0.35,
      loss: { (output, target, factor) throws(TensorError) in
        let powers = try output.exp()
        let chances = try powers / powers.sum(axes: [1], keepingAxes: true)
        let hits = try (chances * target).sum(axes: [1])
        return try -hits.log().mean() * factor
      },
      theory: [
        .failsAt(step, formula: "z ← z + η a²/n / (1 + e^2z) until z > ln(2^128)")
      ])
  }
}

extension Experiment {
  /// The mean square around the mean: the loss of what predicts a constant.
  static func trivialLoss(_ targets: [Float]) -> Double {
    let mean = targets.reduce(0.0) { $0 + Double($1) } / Double(targets.count)
    return targets.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
      / Double(targets.count)
  }
}
