import Glibc
import KeelBackend

/// A matrix of numbers.
private struct Rows {
  var values: [Double]
  let columns: Int
  var count: Int { values.count / columns }
  subscript(row: Int) -> ArraySlice<Double> { values[row * columns..<(row + 1) * columns] }
}

extension ReferenceBackend {
  private func rows(_ array: NDArray) -> Rows {
    precondition(array.shape.rank == 2)
    return Rows(values: read(array), columns: array.shape[1])
  }
  private func channel(_ values: [Double], _ c: Int, of channels: Int) -> [Double] {
    stride(from: c, to: values.count, by: channels).map { values[$0] }
  }
  private func moments(_ values: [Double]) -> (mean: Double, variance: Double) {
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, squares / Double(values.count))
  }

  func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, adding addend: NDArray?,
    _ activation: Activation, momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray, factors: NDArray
  ) throws(DeviceError) {
    note("batchNormalization", y, mean, inverseDeviation, factors)
    let (values, channels, m) = (read(x), x.shape[1], Double(momentum))
    let statistics = (0..<channels).map { moments(channel(values, $0, of: channels)) }
    let count = Double(x.shape[0])
    write(statistics.map(\.mean), to: mean)
    write(statistics.map { 1 / ($0.variance + Double(epsilon)).squareRoot() }, to: inverseDeviation)
    var (means, variances) = (read(runningMean), read(runningVariance))
    for (c, value) in statistics.enumerated() {
      let unbiased = value.variance * count / (count - 1)
      guard Float(value.mean).isFinite, Float(unbiased).isFinite else { continue }
      means[c] = m * means[c] + (1 - m) * value.mean
      variances[c] = m * variances[c] + (1 - m) * unbiased
    }
    write(means, to: runningMean)
    write(variances, to: runningVariance)
    let (center, inverse) = (read(mean), read(inverseDeviation))
    let (scale, shift) = (zip(inverse, read(gamma)).map { $0 * $1 }, read(beta))
    write(scale + shift, to: factors)
    let other = addend.map(read)
    let result = values.enumerated().map { i, value in
      let c = i % channels
      return activate(
        activation, (value - center[c]) * scale[c] + shift[c] + (other?[i] ?? 0))
    }
    write(result, to: y)
  }

  func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    note("batchNormalizationInference", y)
    let (center, spread, g, b) = (read(mean), read(variance), read(gamma), read(beta))
    let result = read(x).enumerated().map { i, value in
      let c = i % center.count
      let deviation = (spread[c] + Double(epsilon)).squareRoot()
      return activate(activation, (value - center[c]) / deviation * g[c] + b[c])
    }
    write(result, to: y)
  }

  func batchNormalizationOutput(
    _ x: NDArray, mean: NDArray, factors: NDArray, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    note("batchNormalizationOutput", y)
    let (center, factors) = (read(mean), read(factors))
    let result = read(x).enumerated().map { i, value in
      let c = i % center.count
      let z = (value - center[c]) * factors[c] + factors[center.count + c]
      return activate(activation, z)
    }
    write(result, to: y)
  }

  func batchNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, mean: NDArray, inverseDeviation: NDArray,
    factors: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    note("batchNormalizationGradient", dx, dgamma, dbeta)
    let (channels, center, inverse) = (mean.count, read(mean), read(inverseDeviation))
    let (scale, shift) = (read(factors).prefix(channels), read(factors).suffix(channels))
    let distances = read(x).enumerated().map { $1 - center[$0 % channels] }
    let (y, dz) = (try allocate(dy.shape, .float32), try allocate(dy.shape, .float32))
    let output = distances.enumerated().map { i, distance in
      let c = i % channels
      return activate(activation, distance * scale[c] + shift[channels + c])
    }
    write(output, to: y)
    try biasActivationGradient(output: y, upstream: dy, activation, into: dz, bias: dbeta)
    let upstream = read(dz)
    let h = distances.enumerated().map { $1 * inverse[$0 % channels] }
    let products = zip(upstream, h).map { $0 * $1 }
    write((0..<channels).map { channel(products, $0, of: channels).reduce(0, +) }, to: dgamma)
    guard let dx else { return }
    let (sums, weighted, count) = (read(dbeta), read(dgamma), Double(x.shape[0]))
    let result = h.indices.map { i in
      let c = i % channels
      return scale[c] * (upstream[i] - sums[c] / count - h[i] * weighted[c] / count)
    }
    write(result, to: dx)
  }

  func layerNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError) {
    note("layerNormalization", y, mean, inverseDeviation)
    let (input, g, b) = (rows(x), read(gamma), read(beta))
    let statistics = (0..<input.count).map { moments(Array(input[$0])) }
    write(statistics.map(\.mean), to: mean)
    write(statistics.map { 1 / ($0.variance + Double(epsilon)).squareRoot() }, to: inverseDeviation)
    let (center, scale) = (read(mean), read(inverseDeviation))
    let result = input.values.enumerated().map { i, value in
      let (r, c) = (i / input.columns, i % input.columns)
      return (value - center[r]) * scale[r] * g[c] + b[c]
    }
    write(result, to: y)
  }

  func layerNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    note("layerNormalizationGradient", dx, dgamma, dbeta)
    let (columns, upstream, g) = (gamma.count, read(dy), read(gamma))
    let (center, scale) = (read(mean), read(inverseDeviation))
    let h = read(x).enumerated().map { ($1 - center[$0 / columns]) * scale[$0 / columns] }
    let products = zip(upstream, h).map { $0 * $1 }
    write((0..<columns).map { channel(products, $0, of: columns).reduce(0, +) }, to: dgamma)
    write((0..<columns).map { channel(upstream, $0, of: columns).reduce(0, +) }, to: dbeta)
    guard let dx else { return }
    let scaled = Rows(
      values: upstream.enumerated().map { $1 * g[$0 % columns] }, columns: columns)
    let weighted = Rows(values: zip(scaled.values, h).map { $0 * $1 }, columns: columns)
    let result = h.indices.map { i -> Double in
      let r = i / columns
      let (a, b) = (scaled[r].reduce(0, +), weighted[r].reduce(0, +))
      return scale[r] * (scaled.values[i] - a / Double(columns) - h[i] * b / Double(columns))
    }
    write(result, to: dx)
  }

  /// log(sum of exp(row)), from the row's maximum.
  private func logSum(_ row: ArraySlice<Double>) -> Double {
    let largest = row.reduce(-.infinity, max)
    return largest + log(row.reduce(0) { $0 + exp($1 - largest) })
  }

  func logSoftmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    note("logSoftmax", y)
    let input = rows(x)
    let result = (0..<input.count).flatMap { r in
      let sum = logSum(input[r])
      return input[r].map { $0 - sum }
    }
    write(result, to: y)
  }
  func softmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try logSoftmax(x, into: y)
    write(read(y).map { exp($0) }, to: y)
  }
  func softmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    note("softmaxGradient", dx)
    let (output, upstream) = (rows(y), rows(dy))
    let result = (0..<output.count).flatMap { r in
      let dot = zip(output[r], upstream[r]).reduce(0) { $0 + $1.0 * $1.1 }
      return zip(output[r], upstream[r]).map { $0 * ($1 - dot) }
    }
    write(result, to: dx)
  }
  func logSoftmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    note("logSoftmaxGradient", dx)
    let (output, upstream) = (rows(y), rows(dy))
    let result = (0..<output.count).flatMap { r in
      let sum = upstream[r].reduce(0, +)
      return zip(output[r], upstream[r]).map { $1 - exp($0) * sum }
    }
    write(result, to: dx)
  }

  func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    note("softmaxCrossEntropy", losses, logSums)
    let (input, classes, s) = (rows(x), read(labels), Double(smoothing))
    let sums = (0..<input.count).map { logSum(input[$0]) }
    let result = (0..<input.count).map { r -> Double in
      guard (0..<Double(input.columns)).contains(classes[r]) else { return .nan }
      return input[r].enumerated().reduce(sums[r]) { loss, entry in
        let target =
          (Double(entry.offset) == classes[r] ? 1 - s : 0) + s / Double(input.columns)
        return loss - target * entry.element
      }
    }
    write(result, to: losses)
    write(sums, to: logSums)
    guard let right else { return }
    write(
      (0..<input.count).map { r in
        let row = input[r].map { $0 }
        let largest = row.firstIndex(of: row.max() ?? 0).map(Double.init)
        return largest == classes[r] && !row.contains(where: \.isNaN) ? 1 : 0
      }, to: right)
  }
  func softmaxCrossEntropyGradient(
    _ x: NDArray, labels: NDArray, smoothing: Float, logSums: NDArray,
    upstream dlosses: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    note("softmaxCrossEntropyGradient", dx)
    let (input, classes, s) = (rows(x), read(labels), Double(smoothing))
    let (sums, upstream) = (read(logSums), read(dlosses))
    let isMean = upstream.count == 1
    let result = input.values.enumerated().map { i, value -> Double in
      let (r, c) = (i / input.columns, i % input.columns)
      guard (0..<Double(input.columns)).contains(classes[r]) else { return Double.nan }
      let target = (Double(c) == classes[r] ? 1 - s : 0) + s / Double(input.columns)
      let d = isMean ? upstream[0] / Double(classes.count) : upstream[r]
      return d * (exp(value - sums[r]) - target)
    }
    write(result, to: dx)
  }

  func randomBits(_ key: RandomKey, into out: NDArray) throws(DeviceError) {
    note("randomBits", out)
    var words = RandomSequence(key)
    write((0..<out.count).map { _ in Double(Int32(bitPattern: words.nextWord())) }, to: out)
  }
  func randomUniform(
    _ key: RandomKey, low: Float, high: Float, into out: NDArray
  ) throws(DeviceError) {
    note("randomUniform", out)
    var words = RandomSequence(key)
    write(
      (0..<out.count).map { _ in Double(low + (high - low) * words.nextUniform()) }, to: out)
  }
  func dropout(_ x: NDArray, rate: Float, _ key: RandomKey, into y: NDArray) throws(DeviceError) {
    note("dropout", y)
    var words = RandomSequence(key)
    let rate = DropoutRate(rate)
    write(
      read(x).map { words.nextWord() >= rate.threshold ? $0 * Double(rate.scale) : 0 }, to: y)
  }

  func gradientTelescope(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading
  ) throws(DeviceError) {
    note("gradientTelescope", reading.summary)
    guard table.tensorCount == 1, !wantsHistogram else {
      throw .unsupported(operation: "gradientTelescope", reason: "autograd measures one tensor")
    }
    let numbers = read(g)
    let summary = [
      numbers.reduce(0) { $0 + $1 * $1 }.squareRoot(), numbers.map(abs).max() ?? 0,
    ]
    write(summary, to: reading.summary)
    write(summary, to: reading.statistics)
  }
  func beginStep(
    _ reading: TelescopeReading, loss: NDArray?, right: NDArray?, schedule: NDArray,
    firstUpdate: UInt64, _ rule: FaultRule, counters: NDArray, into decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "beginStep", reason: "autograd does not update")
  }
  func clipCoefficients(
    _ rule: ClipRule, _ reading: TelescopeReading, isLast: Bool, state: NDArray?,
    decision: NDArray, into coefficients: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "clipCoefficients", reason: "autograd does not update")
  }
  func scaleGradients(
    _ g: NDArray, _ table: TelescopeTable, coefficients: NDArray, decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "scaleGradients", reason: "autograd does not update")
  }
  func clipElements(_ g: NDArray, limit: Float, decision: NDArray) throws(DeviceError) {
    throw .unsupported(operation: "clipElements", reason: "autograd does not update")
  }
  func repairGradients(
    _ g: NDArray, _ repair: FaultRepair, faults: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "repairGradients", reason: "autograd does not update")
  }
  func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "optimizerStep", reason: "autograd does not update")
  }
  func addUniformNoise(
    to g: NDArray, seed: UInt64, firstUpdate: UInt64, counters: NDArray, scales: NDArray,
    decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "addUniformNoise", reason: "autograd does not update")
  }
  func addNoise(
    _ noise: NDArray, to g: NDArray, whereNormBelow threshold: Float, decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "addNoise", reason: "autograd does not update")
  }
  func addPenaltyGradient(
    to g: NDArray, parameters: NDArray, scales: NDArray, l1: Float, l2: Float
  ) throws(DeviceError) {
    throw .unsupported(operation: "addPenaltyGradient", reason: "autograd does not update")
  }
  func shrinkParameters(
    _ parameters: NDArray, scales: NDArray, l1: Float, decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "shrinkParameters", reason: "autograd does not update")
  }
  func clipUnits(
    _ g: NDArray, weights: NDArray, ratio: Float, floor: Float, decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "clipUnits", reason: "autograd does not update")
  }
  func constrainUnits(
    _ weights: NDArray, _ constraint: UnitConstraint, decision: NDArray
  ) throws(DeviceError) {
    throw .unsupported(operation: "constrainUnits", reason: "autograd does not update")
  }
  func multiplyAddPeak(rounds: Int, into out: NDArray) throws(DeviceError) {
    throw .unsupported(operation: "multiplyAddPeak", reason: "autograd does not measure")
  }
}
