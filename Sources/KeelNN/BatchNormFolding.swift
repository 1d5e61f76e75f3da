import KeelAutograd
public import KeelBackend

/// What became of one batch normalisation when a model was folded.
public struct BatchNormFold: Hashable, Sendable {
  /// The path of the batch normalisation.
  public let layer: String
  /// The path of the layer that took it in, or nil if it stays.
  public let into: String?
  /// Why it stays.
  public let reason: String?
}

extension Model {
  /// Moves each batch normalisation into the convolution or dense layer directly before it, with
  /// its running statistics (those of ``calibrateBatchNorm(_:upstream:)``, or of training):
  /// weight becomes weight * gamma / sqrt(variance + epsilon), bias becomes
  /// (bias - mean) * gamma / sqrt(variance + epsilon) + beta, both in Double, and the activation
  /// moves along. The batch normalisation is then the identity and costs nothing.
  ///
  /// A layer without a bias takes over the `beta` of the normalisation as its bias. What the folded
  /// layer had as parameters is written so that the same weights, loaded into a model that is not
  /// folded, compute the same in use. Folding is for use: an optimizer's moments are not carried
  /// along, and parameters that are no longer read are frozen.
  ///
  /// - Returns: for each batch normalisation where it went, or why it stays: it stays behind a
  /// layer
  ///   with an activation, and where no convolution or dense layer comes directly before it within
  ///   its ``Sequential``.
  /// - Throws: ``TensorError/shape(_:)`` when a folded weight is not finite; nothing is changed
  /// then.
  @discardableResult
  public func foldBatchNorm() throws(TensorError) -> [BatchNormFold] {
    let before = layersBefore
    var folds: [BatchNormFold] = []
    var changes: [FoldedWeights] = []
    for (path, norm) in batchNorms where !norm.use.isFolded {
      guard let previous = before[path], let target = FoldTarget(previous.layer) else {
        let reason =
          before[path].map { "\($0.path) (\($0.layer.kind)) is no convolution or dense layer" }
          ?? "nothing comes directly before it within its Sequential"
        folds.append(BatchNormFold(layer: path, into: nil, reason: reason))
        continue
      }
      guard target.activation == .identity else {
        folds.append(
          BatchNormFold(
            layer: path, into: nil,
            reason: "\(previous.path) applies \(target.activation.name) before it"))
        continue
      }
      changes.append(try FoldedWeights(norm, target))
      folds.append(BatchNormFold(layer: path, into: previous.path, reason: nil))
    }
    for change in changes { try change.apply(to: self) }
    return folds
  }

  /// What can take in which batch normalisation, by the path of the normalisation.
  var foldTargets: [String: (path: String, target: FoldTarget)] {
    layersBefore.compactMapValues { previous in
      FoldTarget(previous.layer).map { (previous.path, $0) }
    }
  }

  /// The layer directly before each layer of a ``Sequential``, by the path of the later one.
  private var layersBefore: [String: (path: String, layer: any Layer)] {
    var before: [String: (path: String, layer: any Layer)] = [:]
    for (path, sequence) in sequences {
      for i in sequence.layers.indices.dropFirst() where i < sequence.names.count {
        before[joined(path, sequence.names[i])] = (
          joined(path, sequence.names[i - 1]), sequence.layers[i - 1].unnamed
        )
      }
    }
    return before
  }

  /// Every list of layers with the path under which its layers stand.
  private var sequences: [(path: String, layers: Sequential)] {
    builtLayers.compactMap { built in
      switch built.layer {
      case let sequence as Sequential: (built.path, sequence)
      case let block as Residual: (built.path, block.main)
      case let block as DenseConnection: (built.path, block.main)
      default: nil
      }
    }
  }

  private func joined(_ path: String, _ name: String) -> String {
    path.isEmpty ? name : "\(path).\(name)"
  }
}

/// What a folded normalisation adds to a convolution or dense layer.
package final class FoldedEpilogue {
  /// The `beta` of the normalisation, where the layer has no bias of its own.
  package internal(set) var bias: Parameter?
  /// The activation of the normalisation, in place of the layer's own; nil where nothing is folded.
  package internal(set) var activation: Activation?

  func bias(or own: Parameter?, _ pass: Pass) throws(TensorError) -> Tensor? {
    guard let parameter = own ?? bias else { return nil }
    return try pass[parameter]
  }
}

/// A layer that can take a normalisation in; its weight's last axis is channels.
struct FoldTarget {
  let weight: Parameter
  let bias: Parameter?
  let activation: Activation
  let epilogue: FoldedEpilogue

  init?(_ layer: any Layer) {
    switch layer {
    case let layer as Conv2D:
      guard let weight = layer.weight else { return nil }
      self.weight = weight
      (bias, activation, epilogue) = (layer.bias, layer.activation, layer.epilogue)
    case let layer as Dense:
      guard let weight = layer.weight else { return nil }
      self.weight = weight
      (bias, activation, epilogue) = (layer.bias, layer.activation, layer.epilogue)
    default: return nil
    }
  }

  /// Computes what the normalisation did besides its numbers from now on.
  func takeIn(_ norm: BatchNorm) {
    epilogue.bias = bias == nil ? norm.beta : nil
    epilogue.activation = norm.activation
  }

  /// Computes as declared again.
  func giveBack() { (epilogue.bias, epilogue.activation) = (nil, nil) }
}

/// The numbers of a layer and its normalisation after folding, computed before any is written.
private struct FoldedWeights {
  private let norm: BatchNorm
  private let target: FoldTarget
  private let weight: [Float]
  private let shift: [Float]

  init(_ norm: BatchNorm, _ target: FoldTarget) throws(TensorError) {
    self.norm = norm
    self.target = target
    let (mean, variance) = try norm.statistics()
    let gamma = try norm.gamma?.tensor?.scalars() ?? []
    let beta = try norm.beta?.tensor?.scalars() ?? []
    let bias = try target.bias?.tensor?.scalars() ?? gamma.map { _ in 0 }
    let scale = gamma.indices.map { c in
      Double(gamma[c]) / (Double(variance[c]) + Double(norm.epsilon)).squareRoot()
    }
    weight = try (target.weight.tensor?.scalars() ?? []).enumerated().map { i, value in
      Float(Double(value) * scale[i % scale.count])
    }
    shift = scale.indices.map { c in
      Float((Double(bias[c]) - Double(mean[c])) * scale[c] + Double(beta[c]))
    }
    guard (weight + shift).allSatisfy(\.isFinite) else {
      throw .shape(
        ShapeError(
          target.weight.name, requires: "finite weights after folding",
          gotText: "a value that is not"))
    }
  }

  /// Writes the numbers, and leaves a normalisation that is the identity even unfolded.
  func apply(to model: Model) throws(TensorError) {
    guard let gamma = norm.gamma, let beta = norm.beta else { return }
    let ones = shift.map { _ in Float(1) }
    let zeros = shift.map { _ in Float(0) }
    try model.setWeights(weight, named: target.weight.name)
    try model.setWeights(ones, named: gamma.name)
    try norm.setStatistics(zeros, ones.map { $0 - norm.epsilon })
    try model.freeze(gamma.name)
    if let bias = target.bias {
      try model.setWeights(shift, named: bias.name)
      try model.setWeights(zeros, named: beta.name)
      try model.freeze(beta.name)
    } else {
      try model.setWeights(shift, named: beta.name)
    }
    target.takeIn(norm)
    norm.use.mode = .folded
  }
}
