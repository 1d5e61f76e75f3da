import Glibc
public import KeelAutograd
public import KeelBackend
public import KeelNN

/// Whether the size of activations depends on the width of a network after some steps of training
/// (the coordinate check of Yang et al., 2022): in muP it does not, in other parametrisations it
/// grows, and the best learning rate moves with it.
public struct CoordinateCheck: Hashable, Sendable {
  /// The widths that were trained.
  public let widths: [Int]
  /// The paths of the layers, in the order in which they compute.
  public let layers: [String]
  /// The root of the mean square of each layer's output: by layer, then by width.
  public let rms: [[Double]]

  /// Trains one model of each width on one batch and measures the outputs of its layers.
  ///
  /// - Parameters:
  ///   - widths: at least two, ascending.
  ///   - steps: updates before the measurement.
  ///   - model: makes the model of a width, with the same layers for all.
  /// - Throws: ``TensorError`` of a model, or ``TensorError/shape(_:)`` for fewer than two widths
  ///   or layers that differ.
  public init(
    widths: [Int], steps: Int, optimizer: Optimizer, loss: Loss,
    on inputs: Tensor, _ targets: Tensor, model: (Int) throws(TensorError) -> Model
  ) throws(TensorError) {
    guard widths.count >= 2, widths[0] > 0, zip(widths, widths.dropFirst()).allSatisfy(<) else {
      throw .shape(
        ShapeError(
          "coordinate check", requires: "at least two ascending widths", gotText: "\(widths)"))
    }
    var rows: [[(path: String, rms: Double)]] = []
    for width in widths {
      let model = try model(width)
      let updater = try Updater(optimizer, for: model)
      for _ in 0..<max(steps, 0) {
        _ = try model.valueAndGradient { (pass) throws(TensorError) in
          try loss(model(inputs, pass), targets)
        }
        try updater.update()
      }
      let meter = OutputMeter()
      var pass = Pass(isTraining: false, seed: model.seed, step: 0)
      pass.observer = meter
      _ = try model(inputs, pass)
      rows.append(meter.outputs)
    }
    guard rows.allSatisfy({ $0.map(\.path) == rows[0].map(\.path) }) else {
      throw .shape(
        ShapeError(
          "coordinate check", requires: "the same layers at every width",
          gotText: "\(rows.map(\.count)) layers"))
    }
    self.widths = widths
    layers = rows[0].map(\.path)
    rms = rows[0].indices.map { layer in rows.map { $0[layer].rms } }
  }

  /// How a layer's output grows with the width: the slope of log RMS by log width (least squares).
  /// 0 is flat, 1 is in proportion; NaN where an output is 0 or not finite.
  public func slope(of layer: Int) -> Double {
    let (x, y) = (widths.map { log(Double($0)) }, rms[layer].map { log($0) })
    let (meanX, meanY) = (
      x.reduce(0, +) / Double(x.count), y.reduce(0, +) / Double(y.count)
    )
    let products = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
    let slope = products / x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) }
    return slope.isFinite ? slope : .nan
  }
}

/// Measures what every layer gives.
private final class OutputMeter: LayerObserver {
  private(set) var outputs: [(path: String, rms: Double)] = []

  func layerBegan(_ layer: LayerVisit, input: Tensor) throws(TensorError) {}

  func layerEnded(_ layer: LayerVisit, output: Tensor) throws(TensorError) -> Tensor {
    let square = try (output * output).mean().item()
    outputs.append((layer.path, Double(square).squareRoot()))
    return output
  }
}
