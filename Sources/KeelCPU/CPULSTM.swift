internal import CKeelLoops
package import KeelBackend

extension CPUBackend: LSTMBackend {
  package func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    guard y.count > 0 else { return }
    let (batch, units) = (geometry.batch, geometry.units)
    let projection = MatmulGeometry(
      rows: geometry.rows, inner: geometry.features, columns: 4 * units)
    try matmul(x, inputWeight, projection, Epilogue(bias: bias), into: states.gates)
    let recurrence = MatmulGeometry(rows: batch, inner: units, columns: 4 * units)
    let product = try allocate([batch, 4 * units], .float32)
    let state = try allocate([batch, units], .float32)
    let (sums, compact) = (product.floats, state.floats)
    let (gates, cells) = (states.gates.floats, states.cells.floats)
    let (before, output) = (states.before.floats, y.floats)
    for (time, previous) in geometry.order {
      if previous != nil { try matmul(state, recurrentWeight, recurrence, .none, into: product) }
      overCells(RecurrentStep(geometry, time, previous: previous, hasLater: false)) {
        step, begin, end in
        keel_lstm_cell(step, sums, gates, cells, before, output, compact, begin, end)
      }
    }
  }

  package func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    guard dy.count > 0 else { return }
    let (batch, units) = (geometry.batch, geometry.units)
    let recurrence = MatmulGeometry(
      rows: batch, inner: 4 * units, columns: units, transposeRight: true)
    let product = try allocate([batch, units], .float32)
    let carried = try allocate([batch, units], .float32)
    let flow = try allocate([batch, 4 * units], .float32)
    let (sums, carry, compact) = (product.floats, carried.floats, flow.floats)
    let (gates, cells, upstream) = (states.gates.floats, states.cells.floats, dy.floats)
    let (result, hidden) = (dz.floats, dh?.floats)
    var hasLater = false
    for (time, previous) in geometry.order.reversed() {
      if hasLater { try matmul(flow, recurrentWeight, recurrence, .none, into: product) }
      overCells(RecurrentStep(geometry, time, previous: previous, hasLater: hasLater)) {
        step, begin, end in
        keel_lstm_cell_gradient(
          step, sums, gates, cells, upstream, carry, result, compact, hidden, begin, end)
      }
      hasLater = true
    }
  }
}
