internal import KeelBackend

// All steps in one launch, by tiles of rows in registers.
extension OpenCLBackend {
  func lstmTiles(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, _ plan: RecurrentTiles, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    let w = try gatePanels(
      inputWeight, rows: geometry.features, units: geometry.units, gates: 4)
    let u = try gatePanels(
      recurrentWeight, rows: geometry.units, units: geometry.units, gates: 4)
    try launch(
      "lstm_tiles", source: .named("lstm_tiles"), options: plan.options,
      grid: plan.grid(geometry), x, bias, w, u, states.gates, states.cells, states.before, y,
      UInt32(geometry.batch), UInt32(geometry.steps), UInt32(geometry.features),
      UInt32(geometry.units), UInt32(geometry.isReversed ? 1 : 0), UInt32(plan.tiles))
  }

  func lstmTilesGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray, carried: NDArray,
    _ geometry: RecurrentGeometry, _ plan: RecurrentTiles, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    let units = geometry.units
    let u = try flowPanels(recurrentWeight, units: units, plan)
    try launch(
      "lstm_tiles_gradient", source: .named("lstm_tiles"), options: plan.options,
      grid: plan.grid(geometry), states.gates, states.cells, dy, u, carried, dz, dh,
      UInt32(geometry.batch), UInt32(geometry.steps), UInt32(units),
      UInt32(geometry.isReversed ? 1 : 0), UInt32(plan.tiles))
  }
}
