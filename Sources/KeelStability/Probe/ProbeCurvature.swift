import KeelAutograd
import KeelBackend
import KeelNN

/// Looks for the largest eigenvalue of the Hessian H of the mean loss by power iteration
/// (v = Hv / ‖Hv‖, λ = v · Hv).
///
/// Products are central differences of gradients, Hv = (g(w + εv) - g(w - εv)) / 2ε for a unit
/// vector v, with ε = u^(1/3) ‖w‖ and u = 2^-24: there the errors of the difference quotient and of
/// the rounding are about equal. For a quadratic loss the quotient is exact up to rounding. Dropout
/// masks are the same in all passes; at the kinks of a rectifier the product is that of the loss
/// smoothed over ε.
///
/// Vectors are kept on the host in Double. Weights are moved in place and put back.
struct ProbeCurvature {
  private let model: Model
  private let gradients: ProbeGradients
  private let weights: [Float]
  private let step: Double
  private let limit: Int

  /// λ has stopped when it moves by less than this part twice in a row.
  private static let tolerance = 2e-4
  /// The cube root of the unit roundoff of float32.
  private static let relativeStep = 0.0039

  init(
    _ model: Model, _ gradients: ProbeGradients, weights: [Float], iterations: Int
  ) {
    (self.model, self.gradients, self.weights) = (model, gradients, weights)
    limit = iterations
    var sum = 0.0
    for (place, weight) in weights.enumerated() where gradients.isTrainable[place] {
      sum += Double(weight) * Double(weight)
    }
    let norm = sum.squareRoot()
    step = Self.relativeStep * (norm > 0 ? norm : 1)
  }

  /// - Parameter isFinite: whether the loss and its gradient are, where the weights stand.
  func measure(isFinite: Bool) throws(TensorError) -> ProbeReport.Curvature {
    var found = ProbeReport.Curvature(iterations: 0, isConverged: false)
    guard gradients.isTrainable.contains(true) else {
      found.remark = "no parameter is trainable"
      return found
    }
    guard isFinite, step.isFinite else {
      found.remark = "the loss, its gradient or the weights are not finite"
      return found
    }
    found.differenceStep = step
    try iterate(&found)
    if let largest = found.largestEigenvalue, largest > 0 {
      found.safeLearningRate = 2 / largest
    } else if found.remark == nil {
      found.remark = "the loss curves upwards in no direction that was found"
    }
    return found
  }

  private func iterate(_ found: inout ProbeReport.Curvature) throws(TensorError) {
    var direction = firstDirection(0)
    var (shift, previous, calm) = (0.0, Double.nan, 0)
    while found.iterations < limit {
      found.iterations += 1
      guard let product = try product(direction) else {
        found.remark = "a gradient near the weights is not finite"
        found.largestEigenvalue = nil
        return
      }
      let value = zip(direction, product).reduce(0) { $0 + $1.0 * $1.1 }
      let residual = zip(direction, product).reduce(0) {
        $0 + ($1.1 - value * $1.0) * ($1.1 - value * $1.0)
      }.squareRoot()
      (found.largestEigenvalue, found.residual) = (value, value == 0 ? 0 : residual / abs(value))
      calm = abs(value - previous) <= Self.tolerance * (abs(value) + shift) ? calm + 1 : 0
      previous = value
      var next = product
      for i in next.indices { next[i] += shift * direction[i] }
      let length = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if length == 0 {
        found.isConverged = true
        return
      }
      if calm >= 2 {
        guard value < 0, shift == 0 else {
          found.isConverged = true
          return
        }
        // The strongest curvature is downwards; moved by its size, the strongest upwards wins.
        (shift, calm, previous) = (-value, 0, .nan)
        direction = firstDirection(1)
        continue
      }
      direction = next.map { $0 / length }
    }
    found.remark = "still moving after \(found.iterations) products; more make it surer"
  }

  /// A random unit vector, 0 where nothing may change.
  private func firstDirection(_ number: Int) -> [Double] {
    let key = RandomKey(seed: model.seed, .probe, index: number)
    let random = RandomDistribution.normal(mean: 0, deviation: 1).values(weights.count, key: key)
    let masked = zip(random, gradients.isTrainable).map { $1 ? Double($0) : 0 }
    let length = masked.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return length > 0 ? masked.map { $0 / length } : masked
  }

  /// Hv, or nil where a gradient is not finite.
  private func product(_ direction: [Double]) throws(TensorError) -> [Double]? {
    let above = try gradient(direction, step)
    let below = try gradient(direction, -step)
    var product = [Double](repeating: 0, count: above.count)
    for i in above.indices {
      let difference = Double(above[i]) - Double(below[i])
      guard difference.isFinite else { return nil }
      product[i] = difference / (2 * step)
    }
    return product
  }

  private func gradient(_ direction: [Double], _ step: Double) throws(TensorError) -> [Float] {
    var moved = weights
    for i in moved.indices where direction[i] != 0 {
      moved[i] = Float(Double(weights[i]) + step * direction[i])
    }
    try onDevice { () throws(DeviceError) in
      try model.device.backend.upload(moved, to: model.arena.parameters)
    }
    return try gradients.mean()
  }
}
