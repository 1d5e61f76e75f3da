/// What a dry run tells of a network before its training: the result of
/// ``KeelNN/Model/probe(_:loss:options:)-(Dataset,_,_)``.
///
/// Numbers that are not finite are nil, so that any JSON encoder takes the report.
public struct ProbeReport: Hashable, Sendable, Codable {
  /// How values or gradients fare on their way through the layers.
  public enum Verdict: String, Hashable, Sendable, Codable {
    /// Neither of the others.
    case ok
    /// They are the same for every example, whatever it is.
    case constant
    /// They become smaller than ``ProbeReport/ordinary`` allows.
    case vanishes
    /// They become larger than that.
    case explodes
    /// Some are NaN or infinite.
    case notFinite = "not finite"
  }

  /// One layer.
  public struct Layer: Hashable, Sendable, Codable {
    /// Its path, such as `stage1.block1.conv1`.
    public var path: String
    /// What it is, such as `Conv2D`.
    public var kind: String
    /// How many layers it is part of.
    public var depth: Int
    /// The mean of all elements of its outputs.
    public var mean: Double?
    /// The variance of all elements of its outputs.
    public var variance: Double?
    /// The same of its linear part, before the activation: of dense and convolution layers.
    public var linearVariance: Double?
    /// How many elements of its outputs are not finite.
    public var nonFiniteCount: Int
    /// ‖∂loss/∂y‖, y the outputs: over all batches, the root of the sum of squares.
    public var outputGradient: Double?
    /// ‖∂loss/∂x‖, x the inputs, as far as it flows through this layer.
    public var inputGradient: Double?
    /// The backward gain: ``inputGradient`` over ``outputGradient``. Above 1 gradients grow towards
    /// the input, below 1 they shrink.
    public var gain: Double?
    /// The verdict on the outputs.
    public var verdict: Verdict
  }

  /// How strongly the loss is curved.
  public struct Curvature: Hashable, Sendable, Codable {
    /// λ_max, the largest eigenvalue of the Hessian of the mean loss; nil where it was not found.
    public var largestEigenvalue: Double?
    /// 2 / λ_max: plain gradient descent with a larger learning rate diverges along that
    /// direction. Nil where λ_max is not above 0.
    public var safeLearningRate: Double?
    /// ‖Hv - λv‖ / |λ|, v the unit vector that was found: the larger, the less certain.
    public var residual: Double?
    /// Products of the Hessian with a vector that were computed.
    public var iterations: Int
    /// Whether λ_max had stopped to move.
    public var isConverged: Bool
    /// The distance between the weights of the two gradients of a product, in half.
    public var differenceStep: Double?
    /// Why there is no number, or what limits it.
    public var remark: String?
  }

  /// Norms of the gradient of all parameters, batch by batch.
  public struct GradientNorms: Hashable, Sendable, Codable {
    /// The norm of each batch's gradient; nil where it is not finite.
    public var batches: [Double?]
    /// The middle one of the finite norms.
    public var median: Double?
    /// Nine in ten are below: a threshold for clipping by global norm that leaves ordinary steps
    /// alone.
    public var suggestedClip: Double?
    /// The largest finite norm.
    public var largest: Double?
  }

  /// Whether the size of activations depends on the width; see ``CoordinateCheck``.
  public struct Width: Hashable, Sendable, Codable {
    /// The widths of the first hidden layer that were trained.
    public var widths: [Int]
    /// The layers that were measured.
    public var layers: [String]
    /// How each layer's output grows with the width: 0 is flat, 1 in proportion; nil where it
    /// cannot be told.
    public var slopes: [Double?]
    /// The layer with the largest slope, in magnitude.
    public var worst: Int?

    /// Whether every slope is at most 0.25: the best learning rate then hardly moves with the
    /// width.
    public var isFlat: Bool { slopes.allSatisfy { abs($0 ?? .infinity) <= 0.25 } }
  }

  /// Standard deviations from 1/30 to 30 are ordinary: variances within these bounds. So is a
  /// gradient of a layer's input from 1/1000 to 1000 times that of the network's outputs.
  public static let ordinary: ClosedRange<Double> = 1e-3...1e3

  /// How many batches were looked at.
  public var batches = 0
  /// How many examples they hold.
  public var examples = 0
  /// The mean loss; nil where it is not finite.
  public var loss: Double?
  /// The layers in the order in which they begin to compute, parents before their parts.
  public var layers: [Layer] = []
  /// The whole network: its outputs and the gradient that reaches its inputs.
  public var network: Layer?
  /// On the outputs of the layers, at their linear parts where they have one (Mishkin & Matas,
  /// 2015: their variance should be 1).
  public var forward = Verdict.ok
  /// The layer that the verdict stems from, or else the one furthest from a variance of 1.
  public var forwardLayer: String?
  /// |Var - 1|, the largest of all layers; nil where one is not finite.
  public var varianceDeviation: Double?
  /// On the gradients of the layers' inputs, relative to that of the network's outputs.
  public var backward = Verdict.ok
  /// The layer that the verdict stems from.
  public var backwardLayer: String?
  /// The curvature of the loss; nil if it was not asked for.
  public var curvature: Curvature?
  /// The gradients of the batches.
  public var gradients = GradientNorms(batches: [])
  /// The width check; nil where the model is not of a recipe with widths.
  public var width: Width?
}

/// What a probe does; see ``KeelNN/Model/probe(_:loss:options:)-(Dataset,_,_)``.
public struct ProbeOptions: Hashable, Sendable {
  /// How many batches are looked at, at least 1.
  public var batches = 4
  /// Examples per batch, at least 1.
  public var batchSize = 64
  /// The most products of the Hessian with a vector; each costs two backward passes over all
  /// batches. 0 leaves the curvature out.
  public var curvatureIterations = 100
  /// Whether the width check is made where the model allows it: it trains three small copies.
  public var checksWidth = true

  /// The options; ``batches`` of 64 examples and 100 products at most.
  public init(
    batches: Int = 4, batchSize: Int = 64, curvatureIterations: Int = 100,
    checksWidth: Bool = true
  ) {
    self.batches = batches
    self.batchSize = batchSize
    self.curvatureIterations = curvatureIterations
    self.checksWidth = checksWidth
  }
}
