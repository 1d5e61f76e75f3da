import KeelAutograd
import KeelBackend
import KeelData
import KeelNN

/// A ranking term beside the loss: every step draws a pair of examples and pushes the network to
/// tell them apart (pair-sampling descent; RankNet, Burges et al., 2005; BPR, Rendle et al., 2009).
///
/// The step becomes w - rate * (gradient of the batch's loss + weight * gradient of
/// l(f(x+) - f(x-))), where f is the output for one class. The mean over all pairs is the gradient
/// of a surrogate of the area under the ROC curve. With a weight of 0 the term is not there.
/// "weight * the step before" is another reading of the same idea: that is momentum,
/// ``Optimizer/sgd(learningRate:momentum:nesterov:dampening:weightDecay:)``.
public struct PairTerm: Hashable, Sendable, Codable {
  /// How a difference becomes a loss.
  public enum Form: String, Hashable, Sendable, Codable, CaseIterable {
    /// log(1 + exp(-d)).
    case logistic
    /// max(0, 1 - d).
    case hinge
    /// -d: the difference of the outputs itself, which is unbounded below.
    case linear
  }

  /// Whose output is compared; its examples are the positive ones. Nil: pairs are any two different
  /// examples, and the output is that of the first one's class.
  public var label: Int?
  /// What the term is multiplied by.
  public var weight: Float
  /// How a difference becomes a loss.
  public var form: Form

  /// A term; by default of random pairs.
  public init(label: Int? = nil, weight: Float = 0.9, form: Form = .logistic) {
    self.label = label
    self.weight = weight
    self.form = form
  }

  func validate(classes: Int) throws(TrainingError) {
    guard weight.isFinite, weight >= 0 else {
      throw .option(
        name: "pair term", requirement: "a finite weight of at least 0", got: "\(weight)")
    }
    if let label, !(0..<classes).contains(label) {
      throw .option(
        name: "pair term", requirement: "a class in 0 ..< \(classes)", got: "\(label)")
    }
  }

  /// The loss of a difference f(x+) - f(x-), a scalar.
  func loss(of difference: Tensor) throws(TensorError) -> Tensor {
    switch form {
    // log(1 + exp(-d)) = max(-d, 0) + log1p(exp(-|d|)), which does not overflow.
    case .logistic:
      try pointwise((-.x).maximum(0) + (-Expression.x.abs()).exp().log1p(), [difference]).sum()
    case .hinge: try pointwise((1 - .x).maximum(0), [difference]).sum()
    case .linear: try pointwise(-.x, [difference]).sum()
    }
  }
}

/// A pair term at work on a data set.
final class PairSource {
  private let term: PairTerm
  private let data: Dataset
  private let sampler: PairSampler

  init?(_ term: PairTerm?, _ data: Dataset, seed: UInt64) throws(TrainingError) {
    guard let term else { return nil }
    try term.validate(classes: data.classCount)
    guard term.weight > 0 else { return nil }
    self.term = term
    self.data = data
    sampler = try trainingData { () throws(DataError) in
      try PairSampler(
        data, term.label.map { .classVersusRest($0) } ?? .distinct, seed: seed)
    }
  }

  /// weight * l(f(x+) - f(x-)) of the pair that belongs to a step.
  func loss(step: UInt64, _ model: Model, _ pass: Pass) throws(TensorError) -> Tensor {
    let pair = sampler.pair(step: step)
    let places = [Int(pair.positive), Int(pair.negative)]
    let examples = places.map { data.example(at: $0) }
    let shape = Shape([1] + model.inputShape.extents)
    var outputs: [Tensor] = []
    let inputs = try examples.map { (example) throws(TensorError) in
      try inputTensor(example, shape: shape, on: model.device)
    }
    // Both at once: batch normalisation sees them as one batch.
    let both = try model(Tensor.concatenate(inputs, axis: 0), pass)
    let unit = term.label ?? Int(data.labels[places[0]])
    for row in 0..<2 {
      outputs.append(
        try both.sliced([row..<(row + 1), unit..<(unit + 1)]).reshaped([1]))
    }
    return try term.weight * term.loss(of: outputs[0] - outputs[1])
  }
}
