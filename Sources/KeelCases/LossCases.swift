internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Losses that are one formula and a mean.
enum LossCases {
  static let all: [OperationCase] = [
    loss(
      "sigmoid_cross_entropy", [33, 5], targets: .repeating([0, 1, 1, 0.25, 0]),
      { (x, t) throws(TensorError) in try x.sigmoidCrossEntropy(targets: t) },
      { x, t in max(x, 0) - x * t + log1p(exp(-abs(x))) }),
    loss(
      "sigmoid_cross_entropy_extreme", [12, 1],
      logits: .repeating([1000, -1000, 90, -90, 0, 1e30, -1e30]),
      targets: .repeating([1, 0, 1, 0, 1, 1, 0]), gradient: false,
      { (x, t) throws(TensorError) in try x.sigmoidCrossEntropy(targets: t) },
      { x, t in max(x, 0) - x * t + log1p(exp(-abs(x))) }),
    loss(
      "mean_squared_error", [17, 9],
      { (x, t) throws(TensorError) in try x.meanSquaredError(t) }, { ($0 - $1) * ($0 - $1) }),
    loss(
      "mean_absolute_error", [17, 9],
      { (x, t) throws(TensorError) in try x.meanAbsoluteError(t) }, { abs($0 - $1) }),
    loss(
      "huber_loss", [17, 9], { (x, t) throws(TensorError) in try x.huberLoss(t, delta: 0.75) },
      { x, t in
        let error = abs(x - t)
        return error <= 0.75 ? 0.5 * error * error : 0.75 * (error - 0.375)
      }),
    loss(
      "huber_loss_of_one", [1], { (x, t) throws(TensorError) in try x.huberLoss(t) },
      { x, t in
        let error = abs(x - t)
        return error <= 1 ? 0.5 * error * error : error - 0.5
      }),
    loss(
      "mean_squared_error_nan", [8], logits: .sprinkled([.nan]), gradient: false,
      { (x, t) throws(TensorError) in try x.meanSquaredError(t) }, { ($0 - $1) * ($0 - $1) }),
  ]

  private static func loss(
    _ label: String, _ shape: Shape, logits: CaseInput.Fill = .uniform(-2, 2),
    targets: CaseInput.Fill = .uniform(-2, 2), gradient: Bool = true,
    _ run: @escaping @Sendable (Tensor, Tensor) throws(TensorError) -> Tensor,
    _ formula: @escaping @Sendable (Double, Double) -> Double
  ) -> OperationCase {
    OperationCase(
      .pointwise, label, inputs: [CaseInput(shape, logits), CaseInput(shape, targets)],
      tolerance: .transcendentalSum(of: shape.count), differentiable: gradient ? [0] : [],
      run: { (t) throws(TensorError) in try run(t[0], t[1]) },
      oracle: { t in
        var sum = 0.0
        for place in t[0].indices { sum += formula(t[0][place], t[1][place]) }
        return [sum / Double(t[0].count)]
      })
  }
}
