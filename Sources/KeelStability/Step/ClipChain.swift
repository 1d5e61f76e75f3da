public import KeelBackend

/// One way of limiting gradients; see ``ClipChain``.
public enum ClipStage: Hashable, Sendable, Codable {
  /// Each element to -limit ... limit: changes the direction; usual for recurrent networks.
  case elementwise(Float)
  /// Each tensor's norm to at most the limit: changes the scales between layers (Keras' clipnorm).
  case perTensorNorm(Float)
  /// The norm of all gradients together to at most the limit: keeps the direction (Pascanu et al.,
  /// 2012). The usual choice.
  case globalNorm(Float)
  /// The largest magnitude of all gradients to at most the limit: keeps the direction.
  case globalMaxAbs(Float)
  /// The norm of each unit's gradient to at most `ratio` times that of its weights, which count as
  /// `floor` at least (adaptive gradient clipping, Brock et al., 2021). A vector is one unit. The
  /// parameters of the last layer are left alone, as the paper advises.
  case unitwise(ratio: Float = 0.01, floor: Float = 1e-3)
  /// The global norm to at most a percentile of the norms of the last updates (AutoClip,
  /// Seetharaman et al., 2020).
  case autoClip(percentile: Float = 10, window: Int = 1000)
  /// The global norm where it is `threshold` deviations above its moving mean (ZClip, arXiv
  /// 2504.02507); nothing is clipped in the first `warmUp` updates.
  case zClip(alpha: Float = 0.97, threshold: Float = 2.5, warmUp: Int = 25)
  /// Each tensor's norm to at most `relative` times its own moving mean; the global norm to `limit`
  /// in the first `warmUp` updates (AdaGC, arXiv 2502.11034).
  case adaGC(relative: Float = 1.05, beta: Float = 0.98, warmUp: Int = 100, limit: Float = 1)
  /// The norm of each example's gradient to at most the limit, before they are averaged (Abadi et
  /// al., 2016). Examples then travel through the network one by one: slow, and not for networks
  /// with batch normalisation.
  case perExample(Float)
}

/// How gradients are limited: stages one after the other, each on what the one before left. An
/// empty chain clips nothing.
///
/// ```swift
/// let stability = Stability(clip: [.elementwise(0.5), .globalNorm(1)])
/// ```
public struct ClipChain: Hashable, Sendable, Codable, ExpressibleByArrayLiteral {
  /// The stages, first to last.
  public var stages: [ClipStage]

  /// A chain of the given stages.
  public init(_ stages: [ClipStage]) { self.stages = stages }

  /// A chain of the listed stages.
  public init(arrayLiteral stages: ClipStage...) { self.stages = stages }

  /// The limit of each example's gradient, if there is one.
  public var perExampleLimit: Float? {
    for case .perExample(let limit) in stages { return limit }
    return nil
  }

  /// Throws unless every stage is usable, and they are together.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the stage, what it requires and its value.
  public func validate() throws(TensorError) {
    for stage in stages { try stage.validate() }
    let adaptive = stages.filter(\.isAdaptive)
    guard adaptive.count <= 1 else {
      throw Stability.refusal(
        "clip", "at most one stage that adapts its threshold",
        adaptive.map(\.name).joined(separator: " and ")
          + ", each of which would learn from what the other has clipped")
    }
    for (number, stage) in stages.enumerated() {
      guard case .perExample = stage, number > 0 else { continue }
      throw Stability.refusal(
        "clip", "per-example clipping as the first stage: it acts before the mean over the batch",
        "it after \(stages[number - 1].name)")
    }
  }
}

extension ClipStage {
  /// The name users write.
  public var name: String {
    switch self {
    case .elementwise: "elementwise"
    case .perTensorNorm: "per-tensor-norm"
    case .globalNorm: "global-norm"
    case .globalMaxAbs: "global-max-abs"
    case .unitwise: "unitwise"
    case .autoClip: "autoclip"
    case .zClip: "zclip"
    case .adaGC: "adagc"
    case .perExample: "per-example"
    }
  }

  var isAdaptive: Bool {
    switch self {
    case .autoClip, .zClip, .adaGC: true
    default: false
    }
  }

  /// The device's rule, for stages that one coefficient per tensor, or one for all, carries out.
  var rule: ClipRule? {
    switch self {
    case .perTensorNorm(let limit): .perTensorNorm(limit)
    case .globalNorm(let limit): .globalNorm(limit)
    case .globalMaxAbs(let limit): .globalMaxAbs(limit)
    case .autoClip(let percentile, let window):
      .autoClip(percentile: percentile, window: window)
    case .zClip(let alpha, let threshold, let warmUp):
      .zClip(alpha: alpha, threshold: threshold, warmUp: warmUp)
    case .adaGC(let relative, let beta, let warmUp, let limit):
      .adaGC(relative: relative, beta: beta, warmUp: warmUp, limit: limit)
    case .elementwise, .unitwise, .perExample: nil
    }
  }

  func validate() throws(TensorError) {
    switch self {
    case .elementwise(let limit), .perTensorNorm(let limit), .globalNorm(let limit),
      .globalMaxAbs(let limit), .perExample(let limit):
      try requireLimit("limit", limit)
    case .unitwise(let ratio, let floor):
      try requireLimit("ratio", ratio)
      try requireLimit("floor", floor)
    case .autoClip(let percentile, let window):
      try require(percentile > 0 && percentile <= 100, "a percentile in 0 ... 100", percentile)
      try require(window >= 1 && window <= 4096, "a window of 1 ... 4096 updates", window)
    case .zClip(let alpha, let threshold, let warmUp):
      try require(alpha > 0 && alpha < 1, "an alpha between 0 and 1", alpha)
      try requireLimit("threshold", threshold)
      try require(warmUp >= 2 && warmUp <= 1 << 20, "a warm-up of at least 2 updates", warmUp)
    case .adaGC(let relative, let beta, let warmUp, let limit):
      try require(relative >= 1 && relative.isFinite, "a relative limit of at least 1", relative)
      try require(beta >= 0 && beta < 1, "a beta in 0 ..< 1", beta)
      try require(warmUp >= 1 && warmUp <= 1 << 20, "a warm-up of at least 1 update", warmUp)
      try requireLimit("limit", limit)
    }
  }

  private func requireLimit(_ what: String, _ value: Float) throws(TensorError) {
    try require(
      value.isFinite && value > 0, "a finite \(what) above 0 (nil, not 0, turns clipping off)",
      value)
  }

  private func require(
    _ holds: Bool, _ requirement: String, _ value: some Any
  ) throws(TensorError) {
    guard holds else { throw Stability.refusal("clip \(name)", requirement, "\(value)") }
  }
}

extension ClipChain: CustomStringConvertible {
  /// Such as `elementwise 0.5, global-norm 1`; `off` for an empty chain.
  public var description: String {
    stages.isEmpty ? "off" : stages.map(\.description).joined(separator: ", ")
  }
}

extension ClipStage: CustomStringConvertible {
  /// The name and the numbers, such as `zclip 0.97 2.5 25`.
  public var description: String {
    let numbers: [any CustomStringConvertible] =
      switch self {
      case .elementwise(let limit), .perTensorNorm(let limit), .globalNorm(let limit),
        .globalMaxAbs(let limit), .perExample(let limit):
        [limit]
      case .unitwise(let ratio, let floor): [ratio, floor]
      case .autoClip(let percentile, let window): [percentile, window]
      case .zClip(let alpha, let threshold, let warmUp): [alpha, threshold, warmUp]
      case .adaGC(let relative, let beta, let warmUp, let limit):
        [relative, beta, warmUp, limit]
      }
    return name + numbers.map { " \($0)" }.joined()
  }
}
