package import KeelBackend

extension OpenCLBackend: GRUBackend {
  package func gru(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: GRUStates
  ) throws(DeviceError) {
    if y.count == 0 { return }
    let (batch, steps, units) = (geometry.batch, geometry.steps, geometry.units)
    guard isCPUClass else {
      explain("gru \(geometry): \(Self.recurrentGroupRows) rows to a group, all steps")
      let projection = MatmulGeometry(
        rows: geometry.rows, inner: geometry.features, columns: 3 * units)
      try matmul(x, inputWeight, projection, Epilogue(bias: bias), into: states.gates)
      return try launch(
        "gru_steps", from: .gru, grid: recurrentGroups(geometry), recurrentWeight, states.gates,
        states.products, states.before, y, UInt32(batch), UInt32(steps), UInt32(units),
        UInt32(geometry.isReversed ? 1 : 0))
    }
    let plan = RecurrentTiles(geometry, gates: 3, cores: info.computeUnits)
    explain("gru \(geometry): \(plan)")
    let w = try gatePanels(inputWeight, rows: geometry.features, units: units, gates: 3)
    let v = try gatePanels(recurrentWeight, rows: units, units: units, gates: 3)
    try launch(
      "gru_tiles", source: .named("gru_tiles"), options: plan.options,
      grid: plan.grid(geometry), x, bias, w, v, states.gates, states.products, states.before, y,
      UInt32(batch), UInt32(steps), UInt32(geometry.features), UInt32(units),
      UInt32(geometry.isReversed ? 1 : 0), UInt32(plan.tiles))
  }

  package func gruGradient(
    _ states: GRUStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, products dq: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    if dy.count == 0 { return }
    let (batch, steps, units) = (geometry.batch, geometry.steps, geometry.units)
    let carried = try scratch(batch * units)
    guard isCPUClass else {
      let turned = try transposed(recurrentWeight, units: units, gates: 3)
      return try launch(
        "gru_steps_gradient", from: .gru, grid: recurrentGroups(geometry), turned, states.gates,
        states.products, states.before, dy, carried, dz, dq, dh, UInt32(batch), UInt32(steps),
        UInt32(units), UInt32(geometry.isReversed ? 1 : 0))
    }
    let plan = RecurrentTiles(geometry, gates: 3, cores: info.computeUnits)
    let v = try flowPanels(recurrentWeight, units: units, plan)
    try launch(
      "gru_tiles_gradient", source: .named("gru_tiles"), options: plan.options,
      grid: plan.grid(geometry), states.gates, states.products, states.before, dy, v, carried, dz,
      dq, dh, UInt32(batch), UInt32(steps), UInt32(units), UInt32(geometry.isReversed ? 1 : 0),
      UInt32(plan.tiles))
  }
}
