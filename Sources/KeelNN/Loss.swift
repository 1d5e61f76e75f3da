public import KeelAutograd
public import KeelBackend

/// What training makes small: the mean over the batch.
///
/// Targets are class labels (int32, one per example) or, except for the softmax, numbers of the
/// outputs' shape. Labels become rows with a 1 at the class; with one output they are 0 or 1.
public enum Loss: Hashable, Sendable, Codable {
  /// Cross-entropy of softmax(outputs) with class labels; outputs are logits, batch x classes.
  /// With smoothing s the target is 1 - s + s / classes at the class, s / classes elsewhere.
  case softmaxCrossEntropy(labelSmoothing: Float = 0)
  /// Cross-entropy of sigmoid(outputs) with targets in 0 ... 1, per element.
  case sigmoidCrossEntropy
  /// (output - target)^2 per element.
  case meanSquaredError
  /// |output - target| per element.
  case meanAbsoluteError
  /// Half the square up to `delta`, linear beyond (Huber, 1964).
  case huber(delta: Float = 1)

  /// The loss of outputs, a scalar.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when targets do not fit the outputs.
  public func callAsFunction(
    _ output: Tensor, _ target: Tensor
  ) throws(TensorError) -> Tensor {
    OperationTrace.observer?.met(target, as: "the targets")
    return try traced("loss", kind: name, source: nil) { () throws(TensorError) in
      try value(output, target)
    }
  }

  /// The same, and what the metric counts, a scalar: out of one launch where the loss meets the
  /// right answers anyway.
  package func counting(
    _ metric: Metric?, _ output: Tensor, _ target: Tensor
  ) throws(TensorError) -> (loss: Tensor, right: Tensor?) {
    if metric == .accuracy, case .softmaxCrossEntropy(let smoothing) = self,
      output.shape.rank == 2, output.shape[1] > 1, output.shape[0] == target.shape.count
    {
      OperationTrace.observer?.met(target, as: "the targets")
      return try traced("loss", kind: name, source: nil) { () throws(TensorError) in
        try output.softmaxCrossEntropyCounting(labels: target, smoothing: smoothing)
      }
    }
    let right = try metric?.rightCount(output, target)
    return (try self(output, target), right)
  }

  private func value(_ output: Tensor, _ target: Tensor) throws(TensorError) -> Tensor {
    switch self {
    case .softmaxCrossEntropy(let smoothing):
      return try output.softmaxCrossEntropy(labels: target, smoothing: smoothing)
    case .sigmoidCrossEntropy:
      return try output.sigmoidCrossEntropy(targets: rows(target, for: output))
    case .meanSquaredError: return try output.meanSquaredError(rows(target, for: output))
    case .meanAbsoluteError: return try output.meanAbsoluteError(rows(target, for: output))
    case .huber(let delta): return try output.huberLoss(rows(target, for: output), delta: delta)
    }
  }

  /// Throws unless every option is usable.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the option and its value.
  public func validate() throws(TensorError) {
    switch self {
    case .softmaxCrossEntropy(let smoothing):
      guard smoothing >= 0, smoothing < 1 else {
        throw .shape(
          ShapeError(name, requires: "label smoothing in 0 ..< 1", gotText: "\(smoothing)"))
      }
    case .huber(let delta):
      guard delta.isFinite, delta > 0 else {
        throw .shape(ShapeError(name, requires: "a finite delta above 0", gotText: "\(delta)"))
      }
    case .sigmoidCrossEntropy, .meanSquaredError, .meanAbsoluteError: break
    }
  }

  /// The name users write.
  public var name: String {
    switch self {
    case .softmaxCrossEntropy: "softmax-cross-entropy"
    case .sigmoidCrossEntropy: "sigmoid-cross-entropy"
    case .meanSquaredError: "mean-squared-error"
    case .meanAbsoluteError: "mean-absolute-error"
    case .huber: "huber"
    }
  }

  /// Targets as numbers of the outputs' shape.
  private func rows(_ target: Tensor, for output: Tensor) throws(TensorError) -> Tensor {
    guard target.dtype == .int32 else { return target }
    guard output.shape.rank == 2 else {
      throw .shape(ShapeError(name, requires: "outputs of batch x classes", got: output.shape))
    }
    if output.shape[1] == 1 { return try pointwise(.x, [target]).reshaped(output.shape) }
    return try target.oneHot(classes: output.shape[1])
  }
}

/// What is counted along with the loss.
public enum Metric: String, Hashable, Sendable, Codable, CaseIterable {
  /// The part of examples whose largest output is that of their class; with one output, whose
  /// output is above 0 exactly for class 1.
  case accuracy

  /// The predicted class of each example, int32.
  package static func classes(of output: Tensor) throws(TensorError) -> Tensor {
    try output.detached().argmax(axis: -1)
  }

  /// How many examples are right, a scalar on the device.
  package func rightCount(_ output: Tensor, _ labels: Tensor) throws(TensorError) -> Tensor {
    let output = output.detached()
    guard output.shape.rank == 2, output.shape[0] == labels.shape.count else {
      throw .shape(
        ShapeError(rawValue, requires: "outputs of batch x classes", got: output.shape))
    }
    if output.shape[1] == 1 {
      let flat = try output.reshaped([output.shape[0]])
      return try pointwise((.x > 0).equal(.y), [flat, labels]).sum()
    }
    return try pointwise(.x.equal(.y), [Metric.classes(of: output), labels]).sum()
  }
}
