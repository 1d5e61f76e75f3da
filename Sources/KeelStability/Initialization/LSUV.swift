public import KeelAutograd
public import KeelBackend
public import KeelNN

/// What ``KeelNN/Model/initializeLSUV(on:tolerance:maximumTries:orthonormalFill:)`` did.
public struct LSUVReport: Hashable, Sendable {
  /// One layer.
  public struct Layer: Hashable, Sendable {
    /// The path of its weight, such as `conv1.weight`.
    public var weight: String
    /// How often the weight was divided.
    public var tries: Int
    /// The variance of its linear part when the layer was reached.
    public var varianceBefore: Float
    /// The variance in the end.
    public var varianceAfter: Float
  }

  /// The layers in the order in which they compute.
  public var layers: [Layer] = []
  /// Weights that stayed as they were: frozen ones, and those of layers that are not a linear map
  /// and an activation, such as recurrent ones.
  public var untouched: [String] = []
  /// The tolerance that was asked for.
  public var tolerance: Float

  /// Whether every layer's variance differs from 1 by less than the tolerance.
  public var isConverged: Bool { layers.allSatisfy { abs($0.varianceAfter - 1) < tolerance } }
}

extension Model {
  /// Layer-sequential unit-variance initialisation (LSUV, Mishkin & Matas, 2015): layer by
  /// layer from the input on the weight is made orthonormal, then W = W / sqrt(Var(z)) until
  /// |Var(z) - 1| < `tolerance` or `maximumTries` divisions were made.
  ///
  /// z is the linear part of a `Dense` or convolution on `batch`: the product and the bias, before
  /// the activation, as in the paper, also where the activation is fused. Var is over all its
  /// elements. One forward pass does it all, in inference mode: a dropout drops nothing, a batch
  /// normalisation uses its running statistics. A batch that is not representative hurts.
  ///
  /// - Parameters:
  ///   - batch: batch x ``inputShape``; some hundred real examples.
  ///   - orthonormalFill: false keeps the weights that there are as the start.
  /// - Throws: ``TensorError/shape(_:)`` for a tolerance outside 0 ..< 1, no tries, or a layer
  /// whose
  ///   linear part has a variance of 0 or one that is not finite; the model is then as before.
  @discardableResult
  public func initializeLSUV(
    on batch: Tensor, tolerance: Float = 0.1, maximumTries: Int = 10, orthonormalFill: Bool = true
  ) throws(TensorError) -> LSUVReport {
    guard tolerance > 0, tolerance < 1, maximumTries >= 1 else {
      throw .shape(
        ShapeError(
          "lsuv", requires: "a tolerance above 0 and below 1 and at least one try",
          gotText: "\(tolerance) and \(maximumTries)"))
    }
    return try WeightSnapshot.protecting(self) { () throws(TensorError) in
      let scaler = LSUVScaler(
        self, tolerance: tolerance, maximumTries: maximumTries, fills: orthonormalFill)
      var pass = Pass(isTraining: false, seed: seed, step: 0)
      pass.observer = scaler
      _ = try self(batch, pass)
      try noteFirstDeviations()
      let seen = Set(scaler.layers.map(\.weight))
      initializationMethod = "LSUV"
      return LSUVReport(
        layers: scaler.layers,
        untouched: parameters.filter { $0.isWeight && !seen.contains($0.name) }.map(\.name),
        tolerance: tolerance)
    }
  }
}

/// Scales each weight at the moment when its layer computes: those behind see what it then gives.
private final class LSUVScaler: LinearPartObserver {
  private(set) var layers: [LSUVReport.Layer] = []
  private let tolerance: Float
  private let maximumTries: Int
  private let model: Model
  private let fills: Bool

  init(_ model: Model, tolerance: Float, maximumTries: Int, fills: Bool) {
    self.model = model
    self.tolerance = tolerance
    self.maximumTries = maximumTries
    self.fills = fills
  }

  func layerBegan(_ layer: LayerVisit, input: Tensor) throws(TensorError) {}

  func layerEnded(_ layer: LayerVisit, output: Tensor) throws(TensorError) -> Tensor { output }

  func linearPart(
    of weight: Parameter, at path: String, _ compute: () throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor {
    // A weight that two layers share belongs to the first of them.
    guard weight.isFreeWeight, !layers.contains(where: { $0.weight == weight.name }),
      let values = weight.tensor
    else { return try compute() }
    if fills { try model.setFirstValues(.orthogonal(), scale: 1, of: weight) }
    var output = try compute()
    var variance = try output.variance().item()
    let before = variance
    var tries = 0
    while !(abs(variance - 1) < tolerance), tries < maximumTries {
      guard variance.isFinite, variance > 0 else {
        throw .shape(
          ShapeError(
            "lsuv", requires: "outputs of \(weight.name) with a finite variance above 0",
            gotText: "\(variance); look at the batch and the layers before"))
      }
      let factor = 1 / variance.squareRoot()
      try onDevice { () throws(DeviceError) in
        try values.device.backend.pointwise(
          .x * .constant(factor), [values.value], into: values.value)
      }
      tries += 1
      output = try compute()
      variance = try output.variance().item()
    }
    layers.append(
      LSUVReport.Layer(
        weight: weight.name, tries: tries, varianceBefore: before, varianceAfter: variance))
    return output
  }
}
