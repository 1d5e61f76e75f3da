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
    normSummary = try onDevice { () throws(DeviceError) in
      try model.device.backend.allocate([2], .float32)
    }
  }

  /// Changes the parameters by the gradients of the last backward pass: the norm of all gradients,
  /// then clipping and the rule in one launch. Nothing is read by the host.
  public func update() throws(TensorError) {
    step += 1
    let (arena, backend) = (model.arena, model.device.backend)
    let update = OptimizerUpdate(
      rule: optimizer.rule, learningRate: learningRate, weightDecay: optimizer.weightDecay,
      decouplesDecay: optimizer.decouplesDecay, step: step)
    try onDevice { () throws(DeviceError) in
      try backend.globalNormClip(arena.gradients, limit: clipGlobalNorm, into: normSummary)
      try backend.optimizerStep(
        update, parameters: arena.parameters, gradients: arena.gradients, moments: moments,
        scales: arena.scales, summary: normSummary)
    }
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
