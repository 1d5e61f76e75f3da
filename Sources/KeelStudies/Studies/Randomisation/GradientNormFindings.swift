import KeelBackend
import KeelData
import KeelNN
import KeelTraining

extension RandomisationFindings {
  /// Whether random batches have the smaller gradients, measured with the same weights.
  mutating func norms(_ progress: TrialProgress) throws {
    progress.begin("norms with the same weights")
    guard
      let trained = findings.trials.first(where: { $0.name == "CNN, SGD" })?.trainer.model
    else { throw StudyFault.missing("a trained network") }
    let fresh = try Model(
      Models.digitsCNN(), input: data.train.exampleShape, device: data.device, seed: data.seed)
    let smaller = try compareNorms([("first weights", fresh), ("trained weights", trained)])
    let pairs = try pairNorms(trained)
    findings.measure(
      "largest norm of a difference of two gradients over the larger of the two", "above 1", pairs,
      pairs > 1)
    findings.find(
      "Randomness reduces the explosion of gradients.",
      smaller > 0,
      "With the same weights random batches have the larger mean norm in "
        + "\(4 - smaller) of 4 comparisons; the difference of two examples' gradients reaches "
        + "\(pairs.fixed(2)) times the larger of the two.")
  }

  /// - Returns: how often the mean norm of batches was below the norm of the whole.
  private mutating func compareNorms(_ models: [(when: String, model: Model)]) throws -> Int {
    let count = min(512, data.train.count / 32 * 32)
    var rows: [[String]] = []
    var smaller = 0
    for (when, model) in models {
      for size in [1, 32] {
        let found = try BatchNorms(
          model, data, count: size == 1 ? min(64, count) : count, size: size)
        let mean = Spread(found.batches).mean
        if mean < found.whole { smaller += 1 }
        findings.measure(
          "\(when), batches of \(size): mean norm over that of the whole", "at least 1",
          mean / found.whole, mean >= found.whole)
        rows.append([
          when, "\(size)", found.whole.compact(), mean.compact(),
          (found.batches.max() ?? 0).compact(), (mean / found.whole).fixed(2),
          found.meanOfBatches.compact(),
        ])
      }
    }
    findings.sections.append(
      .init(
        title: "Gradient norms with the same weights",
        text: "A norm is convex: the mean norm of random batches is never below the norm of "
          + "their mean, which is the gradient of the whole.",
        columns: [
          "weights", ">batch", ">norm of the whole", ">mean norm", ">largest", ">mean / whole",
          ">norm of the mean",
        ], rows: rows))
    return smaller
  }

  /// The largest ‖g+ - g-‖ / max(‖g+‖, ‖g-‖) over some pairs of examples, g being the gradient of
  /// the loss of one.
  private func pairNorms(_ model: Model) throws -> Double {
    func gradient(_ place: Int) throws -> [Double] {
      let one = try TrialBatch(data.train, place..<(place + 1), on: data.device)
      _ = try model.valueAndGradient(pass: 0) { (pass) throws(TensorError) in
        try Loss.softmaxCrossEntropy()(model(one.inputs, pass), one.labels)
      }
      return try model.flatGradient()
    }
    func norm(_ values: [Double]) -> Double {
      values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    var largest = 0.0
    for place in 0..<8 {
      let (first, second) = (try gradient(2 * place), try gradient(2 * place + 1))
      let bound = max(norm(first), norm(second))
      largest = max(largest, norm(zip(first, second).map { $0 - $1 }) / max(bound, 1e-30))
    }
    return largest
  }
}

/// How the norms of random batches' gradients compare with that of all examples' gradient, with the
/// same weights.
struct BatchNorms {
  let whole: Double
  let batches: [Double]
  /// The norm of the mean of the batches' gradients: that of the whole, up to rounding.
  let meanOfBatches: Double

  /// - Parameter count: of examples, cut into batches of `size`.
  init(_ model: Model, _ data: TrialData, count: Int, size: Int) throws {
    let places = 0..<count
    _ = try TrialBatch(data.train, places, on: data.device).backward(model)
    whole = try model.gradientNorm()
    var sum: [Double] = []
    var norms: [Double] = []
    for start in stride(from: 0, to: count, by: size) {
      _ = try TrialBatch(data.train, start..<(start + size), on: data.device).backward(model)
      let gradient = try model.flatGradient()
      norms.append(gradient.reduce(0) { $0 + $1 * $1 }.squareRoot())
      sum = sum.isEmpty ? gradient : zip(sum, gradient).map { $0 + $1 }
    }
    batches = norms
    meanOfBatches = sum.reduce(0) { $0 + $1 * $1 }.squareRoot() / Double(norms.count)
  }
}
