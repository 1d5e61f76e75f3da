internal import CKeelLoops
package import KeelBackend

extension CPUBackend: BatchNormalizationBackend {
  package func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, adding addend: NDArray?,
    _ activation: Activation, momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray, factors: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard x.count > 0 else { return }
    let rows = WideRows(x.shape)
    let number = Double(rows.count / rows.columns)
    let input = x.floats
    let (center, inverse) = (mean.floats, inverseDeviation.floats)
    let (running, spread) = (runningMean.floats, runningVariance.floats)
    let (scales, gains, shifts) = (factors.floats, gamma.floats, beta.floats)
    try rows.sums(
      2, on: self,
      adding: { begin, count, sums in
        keel_batch_statistics(input + begin, count, rows.period, sums, sums + rows.period)
      },
      use: { sums in
        for c in 0..<rows.columns {
          let average = sums[c] / number
          let squares = sums[rows.columns + c] / number
          // Rounding can leave a tiny negative number; NaN stays.
          let variance = squares - average * average < 0 ? 0 : squares - average * average
          center[c] = Float(average)
          let exact = 1 / (variance + Double(epsilon)).squareRoot()
          inverse[c] = Float(exact)
          scales[c] = Float(Double(gains[c]) * exact)
          // As on other devices: a channel that is not finite has no shift either.
          scales[rows.columns + c] = scales[c].isFinite ? shifts[c] : .nan
          let unbiased = Float(variance * (number > 1 ? number / (number - 1) : 1))
          // Quarantine: a batch that is not finite leaves the running statistics alone.
          guard center[c].isFinite, unbiased.isFinite else { continue }
          running[c] = momentum * running[c] + (1 - momentum) * center[c]
          spread[c] = momentum * spread[c] + (1 - momentum) * unbiased
        }
      })
    try normalize(
      x, rows, adding: addend, mean: center, scale: scales, shift: beta.floats, activation, into: y)
  }

  package func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard x.count > 0 else { return }
    let rows = WideRows(x.shape)
    let scale = try scratch(rows.columns, of: Float.self)
    let (scales, gains): (UnsafeMutablePointer<Float>, _) = (scale.pointer(), gamma.floats)
    for c in 0..<rows.columns {
      let deviation = (Double(variance.floats[c]) + Double(epsilon)).squareRoot()
      scales[c] = Float(Double(gains[c]) / deviation)
    }
    try normalize(
      x, rows, mean: mean.floats, scale: scales, shift: beta.floats, activation, into: y)
  }

  package func batchNormalizationOutput(
    _ x: NDArray, mean: NDArray, factors: NDArray, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard x.count > 0 else { return }
    let rows = WideRows(x.shape)
    try normalize(
      x, rows, mean: mean.floats, scale: factors.floats, shift: factors.floats + rows.columns,
      activation, into: y)
  }

  private func normalize(
    _ x: NDArray, _ rows: WideRows, adding addend: NDArray? = nil, mean: UnsafePointer<Float>,
    scale: UnsafePointer<Float>, shift: UnsafePointer<Float>, _ activation: Activation,
    into y: NDArray
  ) throws(DeviceError) {
    let storage = try scratch(3 * rows.period, of: Float.self)
    let wide: UnsafeMutablePointer<Float> = storage.pointer()
    let mean = rows.repeating(mean, into: wide)
    let scale = rows.repeating(scale, into: wide + rows.period)
    let shift = rows.repeating(shift, into: wide + 2 * rows.period)
    let (input, other, output) = (x.floats, addend?.floats, y.floats)
    rows.forEachPart { begin, count in
      keel_batch_normalize(
        input + begin, other.map { $0 + begin }, output + begin, count, rows.period, mean, scale,
        shift,
        Int32(activation.kernelCode), activation.kernelParameter)
    }
  }

  package func batchNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, mean: NDArray, inverseDeviation: NDArray,
    factors: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard x.count > 0 else {
      clear(dgamma)
      clear(dbeta)
      return
    }
    let rows = WideRows(x.shape)
    let storage = try scratch(6 * rows.period + 2 * rows.columns, of: Float.self)
    let wide: UnsafeMutablePointer<Float> = storage.pointer()
    let narrow = wide + 6 * rows.period
    let (input, upstream) = (x.floats, dy.floats)
    let (code, parameter) = (Int32(activation.kernelCode), activation.kernelParameter)
    let centers = rows.repeating(mean.floats, into: wide)
    let inverses = rows.repeating(inverseDeviation.floats, into: wide + rows.period)
    let scale = rows.repeating(factors.floats, into: wide + 2 * rows.period)
    let shift = rows.repeating(factors.floats + rows.columns, into: wide + 3 * rows.period)
    let (gainGradient, shiftGradient) = (dgamma.floats, dbeta.floats)
    let number = Double(rows.count / rows.columns)
    try rows.sums(
      2, on: self,
      adding: { begin, count, sums in
        keel_batch_gradient_sums(
          input + begin, upstream + begin, count, rows.period, centers, inverses, scale, shift,
          sums, sums + rows.period, code, parameter)
      },
      use: { sums in
        for c in 0..<rows.columns {
          shiftGradient[c] = Float(sums[c])
          gainGradient[c] = Float(sums[rows.columns + c])
          narrow[c] = Float(sums[c] / number)
          narrow[rows.columns + c] = Float(sums[rows.columns + c] / number)
        }
      })
    guard let result = dx?.floats else { return }
    let meanDz = rows.repeating(narrow, into: wide + 4 * rows.period)
    let meanDzh = rows.repeating(narrow + rows.columns, into: wide + 5 * rows.period)
    rows.forEachPart { begin, count in
      keel_batch_gradient(
        input + begin, upstream + begin, result + begin, count, rows.period, centers, inverses,
        scale, shift, meanDz, meanDzh, code, parameter)
    }
  }
}
