public import KeelAutograd
public import KeelBackend
public import KeelNN

/// How ``KeelNN/Model/initializeGradInit(on:_:loss:_:)`` searches.
public struct GradInit: Hashable, Sendable, Codable {
  /// The step that is simulated.
  public enum Step: String, Hashable, Sendable, Codable {
    /// Along the gradient: SGD's.
    case gradient
    /// Along the gradient's signs: Adam's first.
    case sign
  }

  /// The size of the simulated step: the learning rate that training will begin with.
  public var learningRate: Float
  /// The step.
  public var step: Step
  /// The largest norm that the gradient of all parameters may have.
  public var gamma: Double
  /// The smallest scale.
  public var minimumScale: Double
  /// How many scales are tried; each costs about four backward passes.
  public var iterations: Int
  /// How far the logarithm of a scale moves at first; it falls to a tenth of that.
  public var rate: Double

  /// A search; see the properties.
  public init(
    learningRate: Float, step: Step = .gradient, gamma: Double = 1, minimumScale: Double = 0.01,
    iterations: Int = 40, rate: Double = 0.1
  ) {
    self.learningRate = learningRate
    self.step = step
    self.gamma = gamma
    self.minimumScale = minimumScale
    self.iterations = iterations
    self.rate = rate
  }

  func validate() throws(TensorError) {
    func check(_ holds: Bool, _ requirement: String, _ value: Any) throws(TensorError) {
      guard holds else {
        throw .shape(ShapeError("gradinit", requires: requirement, gotText: "\(value)"))
      }
    }
    try check(
      learningRate.isFinite && learningRate > 0, "a finite learning rate above 0", learningRate)
    try check(gamma.isFinite && gamma > 0, "a finite gamma above 0", gamma)
    try check(
      minimumScale > 0 && minimumScale <= 1, "a minimum scale above 0 and at most 1", minimumScale)
    try check(iterations >= 1, "at least one iteration", iterations)
    try check(rate.isFinite && rate > 0, "a finite rate above 0", rate)
  }
}

/// What ``KeelNN/Model/initializeGradInit(on:_:loss:_:)`` found.
public struct GradInitReport: Hashable, Sendable {
  /// The norm of the gradient and the loss after one simulated step.
  public struct Outcome: Hashable, Sendable {
    /// The norm of the gradient of all parameters, before the step.
    public var gradientNorm: Double
    /// The loss on the batch after the step.
    public var loss: Double
  }

  /// Without scales.
  public var before: Outcome
  /// With the scales.
  public var after: Outcome
  /// The scale of each parameter that has one, by its path.
  public var scales: [String: Double]
}

extension Model {
  /// Multiplies each parameter by a scale of its own, chosen so that the loss after one simulated
  /// step is as small as can be found while the norm of the gradient is at most gamma (GradInit,
  /// Zhu et al., 2021): useful for networks without normalisation.
  ///
  /// Minimises L(θ - η A(g)), θ = s ∘ θ0, g = ∇L(θ), over s >= s_min subject to ‖g‖ <= γ, by Adam
  /// on log s: where ‖g‖ > γ along the slope of ‖g‖, else along that of the loss. Both slopes need
  /// a product of the Hessian and a vector, which is the difference of two gradients here. The best
  /// scales that were tried are taken; s = 1 is the first, so the loss never gets worse. Parameters
  /// that are 0 or frozen have no scale. Batch normalisations use the batch, and their running
  /// statistics stay. All on one batch; the paper draws several.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for an option that is not usable, or when no scales that
  ///   were tried keep the gradient below gamma without a larger loss; the model is then as before.
  @discardableResult
  public func initializeGradInit(
    on inputs: Tensor, _ targets: Tensor, loss: Loss, _ options: GradInit
  ) throws(TensorError) -> GradInitReport {
    try options.validate()
    try loss.validate()
    return try WeightSnapshot.protecting(self) { () throws(TensorError) in
      let search = try GradInitSearch(self, options) { (model, pass) throws(TensorError) in
        try loss(model(inputs, pass), targets)
      }
      let report = try search.run()
      try noteFirstDeviations()
      initializationMethod = "GradInit"
      return report
    }
  }
}
