internal import CKeelLoops
package import KeelBackend

extension CPUBackend: SoftmaxCrossEntropyBackend {
  package func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    let (input, classes) = (x.floats, labels.pointer(as: Int32.self))
    let (result, sums, answers) = (losses.floats, logSums.floats, right?.floats)
    overRows(x) { columns, begin, end in
      keel_softmax_cross_entropy(
        input, classes, smoothing, result, sums, answers, columns, begin, end)
    }
  }

  package func softmaxCrossEntropyGradient(
    _ x: NDArray, labels: NDArray, smoothing: Float, logSums: NDArray,
    upstream dlosses: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    let (input, classes) = (x.floats, labels.pointer(as: Int32.self))
    let (sums, upstream, result) = (logSums.floats, dlosses.floats, dx.floats)
    let isMean = dlosses.count == 1
    let divisor = isMean ? Float(labels.count) : 1
    overRows(x) { columns, begin, end in
      keel_softmax_cross_entropy_gradient(
        input, classes, smoothing, sums, upstream, isMean ? 0 : 1, divisor, result, columns, begin,
        end)
    }
  }
}
