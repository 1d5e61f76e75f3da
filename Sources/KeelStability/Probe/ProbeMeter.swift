import KeelAutograd
import KeelBackend
import KeelNN

/// Sums of one array after the other, in Double: squares of float32 numbers never overflow there.
struct ProbeMoments {
  private var count = 0.0
  private var sum = 0.0
  private var squares = 0.0
  private(set) var nonFiniteCount = 0
  private var smallest = Float.infinity
  private var largest = -Float.infinity

  mutating func add(_ values: [Float]) {
    for value in values {
      guard value.isFinite else {
        nonFiniteCount += 1
        continue
      }
      let number = Double(value)
      count += 1
      sum += number
      squares += number * number
      smallest = min(smallest, value)
      largest = max(largest, value)
    }
  }

  private var isUsable: Bool { nonFiniteCount == 0 && count > 0 }

  var mean: Double? { isUsable ? sum / count : nil }

  /// Exactly 0 where all numbers are the same.
  var variance: Double? {
    guard isUsable else { return nil }
    guard smallest < largest else { return 0 }
    return max(0, squares / count - (sum / count) * (sum / count))
  }

  /// The Euclidean norm.
  var norm: Double? { isUsable ? squares.squareRoot() : nil }
}

/// Measures what comes out of every layer, and the gradients at both of its ends.
final class ProbeMeter: LinearPartObserver, LayerInputObserver {
  private final class Record {
    let visit: LayerVisit
    let depth: Int
    var output = ProbeMoments()
    var linear: ProbeMoments?
    var upstream = ProbeMoments()
    var downstream = ProbeMoments()

    init(_ visit: LayerVisit, depth: Int) { (self.visit, self.depth) = (visit, depth) }
  }

  private var records: [Record] = []
  private var places: [String: Int] = [:]
  private var depth = 0
  private let whole: Record
  private let backend: any Backend

  init(_ model: Model) {
    backend = model.device.backend
    whole = Record(LayerVisit(path: "", kind: model.network.kind, source: nil), depth: 0)
  }

  /// The network's output for a batch, with taps around it.
  func run(_ model: Model, on batch: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    var pass = pass
    pass.observer = self
    depth = 0
    // A leaf: the gradient must flow on to the input of the first layer.
    let leaf =
      batch.dtype.isFloat
      ? Tensor(value: batch.value, device: batch.device, requiresGradient: true) : batch
    let output = try model(tap(leaf, whole, \.downstream), pass)
    whole.output.add(try output.scalars())
    return try tap(output, whole, \.upstream)
  }

  private func tap(
    _ tensor: Tensor, _ record: Record, _ moments: ReferenceWritableKeyPath<Record, ProbeMoments>
  ) throws(TensorError) -> Tensor {
    let backend = backend
    return try tensor.tapped { (gradient) throws(DeviceError) in
      record[keyPath: moments].add(try backend.scalars(gradient))
    }
  }

  private func record(_ path: String) -> Record? { places[path].map { records[$0] } }

  func layerBegan(_ layer: LayerVisit, input: Tensor) throws(TensorError) {
    if places[layer.path] == nil {
      places[layer.path] = records.count
      records.append(Record(layer, depth: depth))
    }
    depth += 1
  }

  func layerInput(_ layer: LayerVisit, _ input: Tensor) throws(TensorError) -> Tensor {
    guard let record = record(layer.path) else { return input }
    return try tap(input, record, \.downstream)
  }

  func layerEnded(_ layer: LayerVisit, output: Tensor) throws(TensorError) -> Tensor {
    depth -= 1
    guard let record = record(layer.path), output.dtype.isFloat else { return output }
    record.output.add(try output.scalars())
    return try tap(output, record, \.upstream)
  }

  func linearPart(
    of weight: Parameter, at path: String, _ compute: () throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor {
    let linear = try compute()
    // A network of one layer has no path.
    let record = record(path) ?? whole
    var moments = record.linear ?? ProbeMoments()
    moments.add(try linear.scalars())
    record.linear = moments
    return linear
  }

  /// The layers; a network that is one layer is listed as itself.
  var layers: [ProbeReport.Layer] {
    records.isEmpty ? [row(whole)] : records.map(row)
  }

  var network: ProbeReport.Layer { row(whole) }

  private func row(_ record: Record) -> ProbeReport.Layer {
    var gain: Double?
    if let input = record.downstream.norm, let output = record.upstream.norm, output > 0 {
      gain = input / output
    }
    let judged = record.linear ?? record.output
    return ProbeReport.Layer(
      path: record.visit.path.isEmpty ? record.visit.kind.lowercased() : record.visit.path,
      kind: record.visit.kind, depth: record.depth, mean: record.output.mean,
      variance: record.output.variance, linearVariance: record.linear?.variance,
      nonFiniteCount: record.output.nonFiniteCount, outputGradient: record.upstream.norm,
      inputGradient: record.downstream.norm, gain: gain,
      verdict: ProbeReport.verdict(onVariance: judged.variance))
  }
}

extension ProbeReport {
  /// What the variance of a layer says; nil is one that is not finite.
  static func verdict(onVariance variance: Double?) -> Verdict {
    guard let variance, variance.isFinite else { return .notFinite }
    if variance == 0 { return .constant }
    if variance < ordinary.lowerBound { return .vanishes }
    return variance > ordinary.upperBound ? .explodes : .ok
  }

  /// Draws the verdicts from the layers.
  mutating func judge() {
    let linear = layers.filter { $0.linearVariance != nil || $0.nonFiniteCount > 0 }
    let judged = linear.isEmpty ? layers : linear
    forward = .ok
    for verdict in [Verdict.notFinite, .explodes, .vanishes, .constant] {
      guard let layer = judged.first(where: { $0.verdict == verdict }) else { continue }
      (forward, forwardLayer) = (verdict, layer.path)
      break
    }
    let variances = judged.map { $0.linearVariance ?? $0.variance }
    if !judged.isEmpty, variances.allSatisfy({ $0 != nil }) {
      let far = judged.indices.max { abs((variances[$0] ?? 1) - 1) < abs((variances[$1] ?? 1) - 1) }
      varianceDeviation = far.map { abs((variances[$0] ?? 1) - 1) }
      if forward == .ok { forwardLayer = far.map { judged[$0].path } }
    }
    judgeGradients()
  }

  private mutating func judgeGradients() {
    guard let start = network?.outputGradient, start.isFinite else {
      backward = .notFinite
      return
    }
    // From the loss on: the first layer that a gradient reaches in bad shape is the cause.
    for layer in layers.reversed() {
      guard let gradient = layer.inputGradient else {
        (backward, backwardLayer) = (.notFinite, layer.path)
        return
      }
      guard backward == .ok, start > 0 else { continue }
      if gradient > ProbeReport.ordinary.upperBound * start {
        (backward, backwardLayer) = (.explodes, layer.path)
      } else if gradient < ProbeReport.ordinary.lowerBound * start {
        (backward, backwardLayer) = (.vanishes, layer.path)
      }
    }
    if start == 0 { backward = .constant }
  }
}
