import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

/// A small training that explodes.
package struct Catastrophe: Sendable {
  /// What it is made of, which says what a defence can act on.
  struct Traits: OptionSet, Sendable {
    let rawValue: Int
    /// It has layers whose units are not the output.
    static let hiddenLayers = Traits(rawValue: 1)
    /// Its hidden layer is recurrent.
    static let recurrent = Traits(rawValue: 2)
    /// Its loss is computed in half precision.
    static let half = Traits(rawValue: 4)
    /// Its loss is a softmax written out.
    static let softmax = Traits(rawValue: 8)
    /// Its hidden layer has forget gates.
    static let gated = Traits(rawValue: 16)
  }

  /// What users call it.
  package let name: String
  /// What it is, in a sentence.
  package let summary: String
  let traits: Traits
  /// Whether the quick form tries only the most telling defences: a step takes many launches.
  let isDeep: Bool
  let make: @Sendable (LabSetting) throws(TensorError) -> Experiment
}

/// How an experiment is to be set up.
struct LabSetting {
  /// What stands after each hidden layer.
  enum Normalization: Sendable { case none, batch, layer }

  var device: Device
  var seed: UInt64
  var normalization = Normalization.none
  /// Where the bias of forget gates begins, unless the catastrophe says.
  var forgetBias: Float?

  /// Numbers of the experiment's own, in -1 ..< 1: the same on every device.
  func numbers(_ count: Int, stream: Int) -> [Float] {
    var random = RandomSequence(RandomKey(seed: seed, .user, index: stream))
    return (0..<count).map { _ in 2 * random.nextUniform() - 1 }
  }

  /// Dense hidden layers with the normalisation asked for, and a last dense layer.
  func stack(
    hidden: Int, width: Int, outputs: Int, activation: Activation, initializer: Initializer,
    usesBias: Bool = true
  ) -> Sequential {
    var layers: [any Layer] = []
    for _ in 0..<hidden {
      let fused = normalization == .none ? activation : .identity
      layers.append(
        Dense(width, activation: fused, usesBias: usesBias, initializer: initializer))
      layers += normalizing(activation)
    }
    layers.append(Dense(outputs, usesBias: usesBias, initializer: initializer))
    return Sequential(layers)
  }

  /// The normalisation asked for, and the activation after it.
  func normalizing(_ activation: Activation) -> [any Layer] {
    switch normalization {
    case .none: []
    case .batch: [BatchNorm(momentum: 0.9, activation: activation)]
    case .layer: [LayerNorm(), ActivationLayer(activation)]
    }
  }
}

/// One batch of an experiment.
struct LabBatch {
  var input: Tensor
  var target: Tensor
  /// Whether its loss says nothing about the training, since it is what makes it explode.
  var isBad = false
}

/// A catastrophe on a device, before its first step.
struct Experiment {
  var model: Model
  var optimizer: Optimizer
  /// The batches in turn; the first one is good.
  var batches: [LabBatch]
  var steps: Int
  /// The loss beyond which a training has exploded.
  var bound: Double
  /// The loss below which something was learned.
  var goal: Double
  /// From outputs, targets and a factor to the loss times that factor.
  var loss: (Tensor, Tensor, Float) throws(TensorError) -> Tensor
  /// What theory says about the training without a defence.
  var theory: [Theory] = []

  /// A prediction.
  enum Theory {
    /// The step at which it fails.
    case failsAt(Int, formula: String)
    /// A number that is known after the first backward pass.
    case first(
      String, Double, tolerance: Double, formula: String,
      measure: (Model, StepReport) throws(TensorError) -> Double)
  }
}

extension Experiment {
  /// The mean squared error, times a factor.
  static func squaredError(
    _ output: Tensor, _ target: Tensor, _ factor: Float
  ) throws(TensorError) -> Tensor {
    let error = try output.meanSquaredError(target)
    return factor == 1 ? error : try error * factor
  }

  /// The cross-entropy of classes, times a factor.
  static func crossEntropy(
    _ output: Tensor, _ target: Tensor, _ factor: Float
  ) throws(TensorError) -> Tensor {
    let error = try output.softmaxCrossEntropy(labels: target)
    return factor == 1 ? error : try error * factor
  }
}
