internal import CKeelLoops
package import KeelBackend

extension CPUBackend: LSTMBackend {
  package func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: LSTMGeometry, into y: NDArray, states: LSTMStates
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
      overCells(LSTMStep(geometry, time, previous: previous, hasLater: false)) {
        step, begin, end in
        keel_lstm_cell(step, sums, gates, cells, before, output, compact, begin, end)
      }
    }
  }

  package func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: LSTMGeometry, into dz: NDArray, hidden dh: NDArray?
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
      overCells(LSTMStep(geometry, time, previous: previous, hasLater: hasLater)) {
        step, begin, end in
        keel_lstm_cell_gradient(
          step, sums, gates, cells, upstream, carry, result, compact, hidden, begin, end)
      }
      hasLater = true
    }
  }

  /// Counts a launch and runs `body(step, begin, end)` over the rows of the batch.
  private func overCells(
    _ step: LSTMStep,
    _ body: (_ step: UnsafePointer<keel_lstm_step>, _ begin: Int, _ end: Int) -> Void
  ) {
    countLaunch()
    // Five exponentials per unit: parts are smaller than those of a copy.
    inRows(step.batch, columns: 16 * step.loop.units) { begin, end in
      var loop = step.loop
      body(&loop, begin, end)
    }
  }
}

/// One time step, as the loops are told it.
private struct LSTMStep {
  let batch: Int
  let loop: keel_lstm_step

  init(_ geometry: LSTMGeometry, _ time: Int, previous: Int?, hasLater: Bool) {
    batch = geometry.batch
    loop = keel_lstm_step(
      units: geometry.units, steps: geometry.steps, time: time, previous: previous ?? 0,
      has_state: previous != nil, has_later: hasLater)
  }
}
