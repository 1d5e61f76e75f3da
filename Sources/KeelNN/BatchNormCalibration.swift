public import KeelAutograd
public import KeelBackend

/// Which statistics normalise the layers in front of the one whose statistics are measured.
public enum BatchNormUpstream: Hashable, Sendable {
  /// Those of each batch, as in training: one pass over the batches measures every layer
  /// (PreciseBN; Wu & Johnson, 2021).
  case batchStatistics
  /// The exact ones that were just measured: a pass for each layer, in the order in which layers
  /// compute. Every layer then gives mean 0 and variance 1 over these batches in use, too.
  case calibratedStatistics
}

/// What calibration has measured for one batch normalisation.
public struct BatchNormStatistics: Hashable, Sendable {
  /// The path of the layer.
  public let layer: String
  /// How many values each channel had.
  public let count: Int
  /// The mean of each channel.
  public let mean: [Double]
  /// The variance of each channel: the sum of squared distances from the mean / count.
  public let variance: [Double]
}

extension Model {
  /// Offline batch normalisation: replaces the running statistics of every layer by the exact mean
  /// and variance over the given batches under the weights as they are, and keeps them from now
  /// on, in training as well. ``useOnlineBatchNorm()`` lets them move again.
  ///
  /// Dropout is off. The numbers of a batch are added in Double in two passes, batches merge by
  /// Chan's formula (Chan, Golub & LeVeque, 1979): neither their order nor their size matters
  /// beyond rounding, if layers in front use calibrated statistics or there are none.
  ///
  /// - Parameters:
  ///   - batches: inputs, each batch x ``inputShape``.
  ///   - upstream: what the layers in front of a measured one normalise with.
  /// - Returns: what was measured, in the order in which layers compute.
  /// - Throws: ``TensorError/shape(_:)`` without batches, without batch normalisation, for a batch
  ///   that gives a channel one value, and for values that are not finite. Nothing is changed then.
  @discardableResult
  public func calibrateBatchNorm(
    _ batches: [Tensor], upstream: BatchNormUpstream = .batchStatistics
  ) throws(TensorError) -> [BatchNormStatistics] {
    let layers = batchNorms.filter { !$0.layer.use.isFolded }
    guard !layers.isEmpty else {
      throw .shape(
        ShapeError(
          "calibrateBatchNorm", requires: "a model with batch normalisation", gotText: "none"))
    }
    guard !batches.isEmpty else {
      throw .shape(
        ShapeError("calibrateBatchNorm", requires: "at least one batch", gotText: "none"))
    }
    let modes = layers.map(\.layer.use.mode)
    var saved: [(mean: [Float], variance: [Float])] = []
    for norm in layers { saved.append(try norm.layer.statistics()) }
    do {
      var found = try measure(layers, batches)
      if upstream == .calibratedStatistics { found = try refine(layers, found, batches) }
      for (path, norm) in layers {
        guard let result = found.first(where: { $0.layer == path }) else {
          norm.use.mode = .frozen
          continue
        }
        try norm.setStatistics(result.mean.map { Float($0) }, result.variance.map { Float($0) })
        norm.use.mode = .frozen
      }
      return found
    } catch {
      for (position, norm) in layers.enumerated() {
        norm.layer.use.mode = modes[position]
        try norm.layer.setStatistics(saved[position].mean, saved[position].variance)
      }
      throw error
    }
  }

  /// Lets running statistics follow the batches of training again, as before
  /// ``calibrateBatchNorm(_:upstream:)``. Folded layers stay folded.
  public func useOnlineBatchNorm() {
    for (_, norm) in batchNorms where !norm.use.isFolded { norm.use.mode = .online }
  }

  /// The batch normalisations with their paths, in the order of declaration.
  package var batchNorms: [(path: String, layer: BatchNorm)] {
    builtLayers.compactMap { built in
      (built.layer as? BatchNorm).map { (built.path, $0) }
    }
  }

  /// The statistics of all given layers over one pass, in the order in which they compute.
  private func measure(
    _ layers: [(path: String, layer: BatchNorm)], _ batches: [Tensor]
  ) throws(TensorError) -> [BatchNormStatistics] {
    let order = CalibrationOrder()
    let collectors = layers.map { BatchNormCollector(layer: $0.path, order: order) }
    for (norm, collector) in zip(layers, collectors) {
      norm.layer.use.mode = .calibrating(collector)
    }
    for batch in batches { _ = try self(batch) }
    var found: [BatchNormStatistics] = []
    for path in order.paths {
      if let collector = collectors.first(where: { $0.layer == path }) {
        found.append(collector.statistics)
      }
    }
    return found
  }

  /// Measures the layers again one after the other, those in front with their new statistics.
  private func refine(
    _ layers: [(path: String, layer: BatchNorm)], _ first: [BatchNormStatistics],
    _ batches: [Tensor]
  ) throws(TensorError) -> [BatchNormStatistics] {
    for norm in layers { norm.layer.use.mode = .frozen }
    var found: [BatchNormStatistics] = []
    for (position, before) in first.enumerated() {
      guard let norm = layers.first(where: { $0.path == before.layer }) else { continue }
      // Nothing normalises in front of the first one.
      let result = position == 0 ? [before] : try measure([norm], batches)
      found += result
      norm.layer.use.mode = .frozen
      for statistics in result {
        try norm.layer.setStatistics(
          statistics.mean.map { Float($0) }, statistics.variance.map { Float($0) })
      }
    }
    return found
  }
}

extension BatchNorm {
  /// The running statistics as they are.
  package func statistics() throws(TensorError) -> (mean: [Float], variance: [Float]) {
    (try mean?.tensor?.scalars() ?? [], try variance?.tensor?.scalars() ?? [])
  }

  /// Replaces the running statistics.
  package func setStatistics(_ means: [Float], _ variances: [Float]) throws(TensorError) {
    for (state, values) in [(mean, means), (variance, variances)] {
      guard let tensor = state?.tensor else { continue }
      try onDevice { () throws(DeviceError) in
        try tensor.device.backend.upload(values, to: tensor.value)
      }
    }
  }
}

/// Which statistics a batch normalisation uses.
package final class BatchNormUse {
  package enum Mode {
    /// Those of the batch in training, which move the running ones; the running ones in use.
    case online
    /// Those of the batch, which go to a collector.
    case calibrating(BatchNormCollector)
    /// The running ones, always.
    case frozen
    /// None: the layer before has taken the normalisation in.
    case folded
  }

  package internal(set) var mode = Mode.online

  package var isFolded: Bool { if case .folded = mode { true } else { false } }
  package var isFrozen: Bool { if case .frozen = mode { true } else { false } }
}

/// The order in which layers compute.
final class CalibrationOrder {
  fileprivate(set) var paths: [String] = []
}

/// Adds up the statistics of one layer's inputs.
package final class BatchNormCollector {
  let layer: String
  private let order: CalibrationOrder
  private var count = 0.0
  private var batches = 0
  private var mean: [Double] = []
  private var squares: [Double] = []

  init(layer: String, order: CalibrationOrder) {
    self.layer = layer
    self.order = order
  }

  /// Adds a batch whose last axis is channels.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when a channel's statistics are not finite.
  package func add(_ x: Tensor) throws(TensorError) {
    let channels = x.shape[x.shape.rank - 1]
    let values = try x.scalars()
    if batches == 0 {
      order.paths.append(layer)
      mean = [Double](repeating: 0, count: channels)
      squares = mean
    }
    batches += 1
    let (center, spread) = twoPassStatistics(values, channels)
    for c in 0..<channels where !(center[c].isFinite && Float(spread[c]).isFinite) {
      throw .shape(
        ShapeError(
          layer, requires: "finite values to calibrate with",
          gotText: "mean \(center[c]) in channel \(c) of batch \(batches)"))
    }
    let added = Double(values.count / channels)
    let total = count + added
    for c in 0..<channels {
      let distance = center[c] - mean[c]
      mean[c] += distance * (added / total)
      squares[c] += spread[c] + distance * distance * (count * added / total)
    }
    count = total
  }

  var statistics: BatchNormStatistics {
    BatchNormStatistics(
      layer: layer, count: Int(count), mean: mean, variance: squares.map { $0 / count })
  }
}

/// The mean of each channel, and the sum of squared distances from it.
private func twoPassStatistics(
  _ values: [Float], _ channels: Int
) -> (mean: [Double], squares: [Double]) {
  let rows = values.count / channels
  var mean = [Double](repeating: 0, count: channels)
  var squares = mean
  values.withUnsafeBufferPointer { values in
    for row in 0..<rows {
      for c in 0..<channels { mean[c] += Double(values[row * channels + c]) }
    }
    for c in 0..<channels { mean[c] /= Double(rows) }
    for row in 0..<rows {
      for c in 0..<channels {
        let distance = Double(values[row * channels + c]) - mean[c]
        squares[c] += distance * distance
      }
    }
  }
  return (mean, squares)
}
