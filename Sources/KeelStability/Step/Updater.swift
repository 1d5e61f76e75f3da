import KeelAutograd
public import KeelBackend
public import KeelNN

/// An optimizer at work on a model: its moments, its step count, and the update.
///
/// ```swift
/// let updater = try Updater(.adam(), for: model, clipGlobalNorm: 1)
/// let loss = try model.valueAndGradient { pass throws(TensorError) in
///   try Loss.softmaxCrossEntropy()(model(images, pass), labels)
/// }
/// try updater.update()
/// ```
public final class Updater {
  /// The optimizer.
  public let optimizer: Optimizer
  /// The largest norm that all gradients together may have, or nil.
  public let clipGlobalNorm: Float?
  /// The size of the next steps; at first the optimizer's.
  public var learningRate: Float
  /// How many updates there were.
  public package(set) var step: UInt64 = 0

  /// The state of the rule, each as large as the parameters.
  package let moments: [NDArray]
  /// The norm and the coefficient of the last update, on the device.
  package let normSummary: NDArray
  /// The ``DecisionField``s of the last update, on the device.
  package let decision: NDArray
  private let model: Model

  /// Starts with moments of zero.
  ///
  /// - Throws: ``TensorError`` when an option is not usable or memory is short.
  public init(
    _ optimizer: Optimizer, for model: Model, clipGlobalNorm: Float? = nil
  ) throws(TensorError) {
    try optimizer.validate()
    if let limit = clipGlobalNorm, !(limit.isFinite && limit > 0) {
      throw .shape(
        ShapeError(
          "clipGlobalNorm", requires: "a finite limit above 0 (nil turns clipping off)",
          gotText: "\(limit)"))
    }
    self.optimizer = optimizer
    self.clipGlobalNorm = clipGlobalNorm
    self.model = model
    learningRate = optimizer.learningRate
    moments = try model.arena.makeMoments(optimizer.rule.momentCount)
    (normSummary, decision) = try onDevice { () throws(DeviceError) in
      (
        try model.device.backend.allocate([2], .float32),
        try model.device.backend.allocate([DecisionField.count], .float32)
      )
    }
  }

  /// Changes the parameters by the gradients of the last backward pass: the norm of all gradients,
  /// then clipping and the rule in one launch. Nothing is read by the host.
  public func update() throws(TensorError) {
    step += 1
    let (arena, backend) = (model.arena, model.device.backend)
    let update = OptimizerUpdate(
      rule: optimizer.rule, weightDecay: optimizer.weightDecay,
      decouplesDecay: optimizer.decouplesDecay)
    try onDevice { () throws(DeviceError) in
      try backend.globalNormClip(arena.gradients, limit: clipGlobalNorm, into: normSummary)
      try backend.upload(decisionOfStep, to: decision)
      // Only the device knows the coefficient.
      let coefficient = DecisionField.coefficient.rawValue
      try backend.stridedCopy(
        normSummary, StridedPattern(offset: 1, strides: [1]), into: decision,
        StridedPattern(offset: coefficient, strides: [1]), extents: [1])
      try backend.optimizerStep(
        update, parameters: arena.parameters, gradients: arena.gradients, moments: moments,
        scales: arena.scales, decision: decision)
    }
  }

  /// What the host knows of the step's decision.
  private var decisionOfStep: [Float] {
    var fields = [Float](repeating: 0, count: DecisionField.count)
    fields[DecisionField.coefficient.rawValue] = 1
    fields[DecisionField.applies.rawValue] = 1
    fields[DecisionField.learningRate.rawValue] = learningRate
    fields[DecisionField.updates.rawValue] = Float(step - 1)
    if case .adam(let beta1, let beta2, _) = optimizer.rule {
      fields[DecisionField.correction1.rawValue] = OptimizerUpdate.biasCorrection(
        beta1, step: step)
      fields[DecisionField.correction2.rawValue] = OptimizerUpdate.biasCorrection(
        beta2, step: step)
    }
    return fields
  }

  /// The norm of all gradients at the last update, before clipping, and the factor that clipping
  /// multiplied them by. Waits for the device.
  public func gradientNorm() throws(TensorError) -> (norm: Float, coefficient: Float) {
    let values: [Float] = try onDevice { () throws(DeviceError) in
      try model.device.backend.scalars(normSummary)
    }
    return (values[0], values[1])
  }
}
