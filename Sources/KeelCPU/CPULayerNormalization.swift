internal import CKeelLoops
package import KeelBackend

extension CPUBackend: LayerNormalizationBackend {
  package func layerNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard x.count > 0 else { return }
    let columns = x.shape[x.shape.rank - 1]
    let (input, gain, shift) = (x.floats, gamma.floats, beta.floats)
    let (output, center, inverse) = (y.floats, mean.floats, inverseDeviation.floats)
    inRows(x.count / columns, columns: columns) { begin, end in
      keel_layer_normalize(
        input, gain, shift, epsilon, output, center, inverse, columns, begin, end)
    }
  }

  package func layerNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard x.count > 0 else {
      clear(dgamma)
      clear(dbeta)
      return
    }
    let columns = x.shape[x.shape.rank - 1]
    let rows = x.count / columns
    let part = max(1, partSize / columns)
    let parts = (rows + part - 1) / part
    let storage = try scratch(parts * 2 * columns, of: Double.self)
    let partials: UnsafeMutablePointer<Double> = storage.pointer()
    let (input, upstream, gain) = (x.floats, dy.floats, gamma.floats)
    let (center, inverse, result) = (mean.floats, inverseDeviation.floats, dx?.floats)
    concurrently(parts) { index in
      let sums = partials + index * 2 * columns
      sums.update(repeating: 0, count: 2 * columns)
      keel_layer_gradient(
        input, upstream, gain, center, inverse, result, sums, sums + columns, columns,
        index * part, min(rows, (index + 1) * part))
    }
    let (gainGradient, shiftGradient) = (dgamma.floats, dbeta.floats)
    for c in 0..<columns {
      var (gainSum, shiftSum) = (0.0, 0.0)
      for index in 0..<parts {
        gainSum += partials[index * 2 * columns + c]
        shiftSum += partials[index * 2 * columns + columns + c]
      }
      gainGradient[c] = Float(gainSum)
      shiftGradient[c] = Float(shiftSum)
    }
  }
}
