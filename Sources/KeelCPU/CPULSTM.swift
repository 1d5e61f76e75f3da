internal import CKeelLoops
package import KeelBackend

extension CPUBackend: LSTMBackend {
  package func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    guard y.count > 0 else { return }
    let (gates, cells) = (states.gates.floats, states.cells.floats)
    let (before, output) = (states.before.floats, y.floats)
    try throughTime(
      x, inputWeight: inputWeight, recurrentWeight: recurrentWeight, bias: bias, geometry,
      gates: states.gates, columns: 4 * geometry.units
    ) { scratch, step, begin, end in
      keel_lstm_cell(
        step, scratch.sums, gates, cells, before, output, scratch.compact, begin, end)
    }
  }

  package func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    guard dy.count > 0 else { return }
    let (gates, cells, upstream) = (states.gates.floats, states.cells.floats, dy.floats)
    let (result, hidden) = (dz.floats, dh?.floats)
    try backThroughTime(
      recurrentWeight: recurrentWeight, geometry, columns: 4 * geometry.units
    ) { scratch, carry, step, begin, end in
      keel_lstm_cell_gradient(
        step, scratch.sums, gates, cells, upstream, carry, result, scratch.compact, hidden, begin,
        end)
    }
  }
}
