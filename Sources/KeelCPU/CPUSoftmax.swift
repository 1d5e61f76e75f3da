internal import CKeelLoops
package import KeelBackend

extension CPUBackend: SoftmaxBackend {
  package func softmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    let (input, output) = (x.floats, y.floats)
    overRows(x) { columns, begin, end in keel_softmax(input, output, columns, begin, end) }
  }

  package func softmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    let (output, upstream, result) = (y.floats, dy.floats, dx.floats)
    overRows(y) { columns, begin, end in
      keel_softmax_gradient(output, upstream, result, columns, begin, end)
    }
  }

  package func logSoftmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    let (input, output) = (x.floats, y.floats)
    overRows(x) { columns, begin, end in keel_log_softmax(input, output, columns, begin, end) }
  }

  package func logSoftmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    let (output, upstream, result) = (y.floats, dy.floats, dx.floats)
    overRows(y) { columns, begin, end in
      keel_log_softmax_gradient(output, upstream, result, columns, begin, end)
    }
  }

  /// Counts a launch and runs `body(columns, begin, end)` over the rows of an array.
  func overRows(_ x: NDArray, _ body: (_ columns: Int, _ begin: Int, _ end: Int) -> Void) {
    countLaunch()
    guard x.count > 0 else { return }
    let columns = x.shape[x.shape.rank - 1]
    // A row costs an exponential per element: smaller parts than a copy has.
    inRows(x.count / columns, columns: 4 * columns) { begin, end in body(columns, begin, end) }
  }
}
