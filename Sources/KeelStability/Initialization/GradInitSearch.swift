import Glibc
import KeelAutograd
import KeelBackend
import KeelNN

/// The search for scales: on the host over flat copies of the arena, in Double.
final class GradInitSearch {
  private let model: Model
  private let options: GradInit
  private let loss: (Model, Pass) throws(TensorError) -> Tensor
  private let snapshot: WeightSnapshot
  /// The parameters as they were.
  private let start: [Float]
  /// The parameters that have a scale.
  private let scaled: [Tensorlet]
  /// By how much each element's step is multiplied: 0 of what is frozen.
  private let stepScales: [Float]

  /// The place of one parameter in the flat arrays.
  private struct Tensorlet {
    let name: String
    let range: Range<Int>
  }

  private struct Candidate {
    var logarithms: [Double]
    var outcome: GradInitReport.Outcome
  }

  init(
    _ model: Model, _ options: GradInit, loss: @escaping (Model, Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) {
    self.model = model
    self.options = options
    self.loss = loss
    snapshot = try WeightSnapshot(model)
    let start: [Float] = try onDevice { () throws(DeviceError) in
      try model.device.backend.scalars(model.arena.parameters)
    }
    var scaled: [Tensorlet] = []
    var stepScales = [Float](repeating: 0, count: start.count)
    for parameter in model.parameters where parameter.isTrainable {
      guard let place = parameter.place else { continue }
      let range = place.offset..<(place.offset + parameter.shape.count)
      for i in range { stepScales[i] = parameter.learningRateScale }
      if start[range].contains(where: { $0 != 0 }) {
        scaled.append(Tensorlet(name: parameter.name, range: range))
      }
    }
    self.start = start
    self.scaled = scaled
    self.stepScales = stepScales
  }

  /// Tries scales and leaves the model with the best.
  func run() throws(TensorError) -> GradInitReport {
    var logarithms = [Double](repeating: 0, count: scaled.count)
    var descent = LogDescent(count: scaled.count)
    var before: GradInitReport.Outcome?
    var best: Candidate?
    for iteration in 0..<options.iterations {
      let (outcome, slope) = try evaluate(logarithms)
      let first = before ?? outcome
      before = first
      let isNoWorse = !first.loss.isFinite || outcome.loss <= first.loss
      if outcome.gradientNorm <= options.gamma, outcome.loss.isFinite, isNoWorse,
        outcome.loss < best?.outcome.loss ?? .infinity
      {
        best = Candidate(logarithms: logarithms, outcome: outcome)
      }
      let progress = Double(iteration) / Double(options.iterations)
      let rate = options.rate * (0.55 + 0.45 * cos(Double.pi * progress))
      descent.move(&logarithms, along: slope, rate: rate, floor: log(options.minimumScale))
    }
    guard let before, let best else {
      throw .shape(
        ShapeError(
          "gradinit",
          requires: "scales with a gradient norm of at most \(options.gamma) and no larger loss",
          gotText: "none in \(options.iterations) tries; raise gamma, rate or iterations"))
    }
    try write(parameters(best.logarithms))
    try snapshot.restoreStates()
    var scales: [String: Double] = [:]
    for (tensor, logarithm) in zip(scaled, best.logarithms) { scales[tensor.name] = exp(logarithm) }
    return GradInitReport(before: before, after: best.outcome, scales: scales)
  }

  /// The outcome with given scales, and the slope by their logarithms of what is to fall: the norm
  /// where it is above gamma, else the loss after the step. Nil where numbers overflowed.
  private func evaluate(
    _ logarithms: [Double]
  ) throws(TensorError) -> (GradInitReport.Outcome, [Double]?) {
    let here = parameters(logarithms)
    let gradient = try gradient(at: here).gradient
    let norm = length(gradient)
    var there = here
    for i in there.indices { there[i] -= options.learningRate * stepScales[i] * way(gradient[i]) }
    let (lossThere, gradientThere) = try self.gradient(at: there)
    let outcome = GradInitReport.Outcome(gradientNorm: norm, loss: lossThere)
    guard norm.isFinite, norm > options.gamma || lossThere.isFinite else { return (outcome, nil) }

    var sensitivity: [Double]
    if norm > options.gamma {
      // d‖g‖ = g/‖g‖ · H dθ.
      sensitivity = try hessianProduct(at: here, gradient.map { Double($0) / norm })
    } else {
      // dL(θ - η A(g)) = u · (dθ - η A'(g) H dθ), and A' = 0 for the signs.
      sensitivity = gradientThere.map(Double.init)
      if options.step == .gradient {
        let weighted = zip(sensitivity, stepScales).map { $0 * Double($1 * options.learningRate) }
        let product = try hessianProduct(at: here, weighted)
        for i in sensitivity.indices { sensitivity[i] -= product[i] }
      }
    }
    // dθ = θ d(log s).
    let slope = scaled.map { tensor in
      tensor.range.reduce(0.0) { $0 + sensitivity[$1] * Double(here[$1]) }
    }
    return (outcome, slope.allSatisfy(\.isFinite) ? slope : nil)
  }

  /// The direction of the simulated step in one element.
  private func way(_ slope: Float) -> Float {
    switch options.step {
    case .gradient: slope
    case .sign: slope > 0 ? 1 : slope < 0 ? -1 : slope
    }
  }

  /// H v by the difference of two gradients, a thousandth of the parameters' length apart.
  private func hessianProduct(
    at point: [Float], _ vector: [Double]
  ) throws(TensorError) -> [Double] {
    let size = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    guard size > 0, size.isFinite else { return vector.map { _ in size > 0 ? .nan : 0 } }
    let distance = 1e-3 * max(length(point), 1e-3) / size
    var (ahead, behind) = (point, point)
    for i in point.indices {
      ahead[i] = Float(Double(point[i]) + distance * vector[i])
      behind[i] = Float(Double(point[i]) - distance * vector[i])
    }
    let (high, low) = (try gradient(at: ahead).gradient, try gradient(at: behind).gradient)
    return zip(high, low).map { (Double($0) - Double($1)) / (2 * distance) }
  }

  private func gradient(
    at parameters: [Float]
  ) throws(TensorError) -> (loss: Double, gradient: [Float]) {
    try write(parameters)
    let value = try model.valueAndGradient(step: 0, weight: 1, accumulates: false) {
      (pass) throws(TensorError) in try loss(model, pass)
    }
    var gradient: [Float] = try onDevice { () throws(DeviceError) in
      try model.device.backend.scalars(model.arena.gradients)
    }
    for i in gradient.indices where stepScales[i] == 0 { gradient[i] = 0 }
    return (Double(try value.item()), gradient)
  }

  /// The parameters with scales of the given logarithms.
  private func parameters(_ logarithms: [Double]) -> [Float] {
    var values = start
    for (tensor, logarithm) in zip(scaled, logarithms) where logarithm != 0 {
      let scale = exp(logarithm)
      for i in tensor.range { values[i] = Float(scale * Double(start[i])) }
    }
    return values
  }

  private func write(_ parameters: [Float]) throws(TensorError) {
    try onDevice { () throws(DeviceError) in
      try model.device.backend.upload(parameters, to: model.arena.parameters)
    }
  }

  private func length(_ values: [Float]) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}

/// Adam on a few numbers, which never go below a floor.
private struct LogDescent {
  private var mean: [Double]
  private var square: [Double]
  private var step = 0

  init(count: Int) {
    mean = [Double](repeating: 0, count: count)
    square = mean
  }

  /// - Parameter slope: nil lowers everything: where numbers overflow, weights are too large.
  mutating func move(_ x: inout [Double], along slope: [Double]?, rate: Double, floor: Double) {
    guard let slope else {
      for i in x.indices { x[i] = max(x[i] - 5 * rate, floor) }
      return
    }
    // The slopes of the norm and of the loss differ in size: only directions are remembered.
    let size = slope.reduce(0) { max($0, abs($1)) }
    guard size > 0 else { return }
    step += 1
    for i in x.indices {
      let part = slope[i] / size
      mean[i] = 0.8 * mean[i] + 0.2 * part
      square[i] = 0.95 * square[i] + 0.05 * part * part
      let (m, v) = (
        mean[i] / (1 - pow(0.8, Double(step))), square[i] / (1 - pow(0.95, Double(step)))
      )
      x[i] = max(x[i] - rate * m / (v.squareRoot() + 1e-8), floor)
    }
  }
}
