internal import CKeelLoops
package import KeelBackend

extension CPUBackend: GRUBackend {
  package func gru(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: GRUStates
  ) throws(DeviceError) {
    guard y.count > 0 else { return }
    let (gates, products) = (states.gates.floats, states.products.floats)
    let (before, output) = (states.before.floats, y.floats)
    try throughTime(
      x, inputWeight: inputWeight, recurrentWeight: recurrentWeight, bias: bias, geometry,
      gates: states.gates, columns: 3 * geometry.units
    ) { scratch, step, begin, end in
      keel_gru_cell(
        step, scratch.sums, gates, products, before, output, scratch.compact, begin, end)
    }
  }

  package func gruGradient(
    _ states: GRUStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, products dq: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    guard dy.count > 0 else { return }
    let (gates, products) = (states.gates.floats, states.products.floats)
    let (before, upstream) = (states.before.floats, dy.floats)
    let (input, recurrent, hidden) = (dz.floats, dq.floats, dh?.floats)
    try backThroughTime(
      recurrentWeight: recurrentWeight, geometry, columns: 3 * geometry.units
    ) { scratch, carry, step, begin, end in
      keel_gru_cell_gradient(
        step, scratch.sums, gates, products, before, upstream, carry, input, recurrent,
        scratch.compact, hidden, begin, end)
    }
  }
}
