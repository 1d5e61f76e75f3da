package import KeelBackend

/// Which kernels go through time: a function of the extents and the device.
enum LSTMPlan {
  /// All steps in one launch, by tiles of rows in registers.
  case tiles(RecurrentTiles)
  /// All steps in one launch, by groups that share their rows.
  case steps
  /// A matrix product and a cell for each step.
  case cells

  init(_ geometry: RecurrentGeometry, isCPUClass: Bool, cores: Int) {
    if isCPUClass {
      self = .tiles(RecurrentTiles(geometry, gates: 4, cores: cores))
    } else {
      // A group reads the whole weight for its few rows in each step: 1 MiB stays in a cache.
      self = geometry.units <= 256 ? .steps : .cells
    }
  }
}

extension LSTMPlan: CustomStringConvertible {
  var description: String {
    switch self {
    case .tiles(let plan): "\(plan)"
    case .steps: "all steps in one launch, \(OpenCLBackend.recurrentGroupRows) rows to a group"
    case .cells: "a matrix product and a cell for each step (large weight)"
    }
  }
}

extension OpenCLBackend: LSTMBackend {
  package func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    if y.count == 0 { return }
    let plan = plan(geometry)
    explain("lstm \(geometry): \(plan)")
    if case .tiles(let plan) = plan {
      return try lstmTiles(
        x, inputWeight: inputWeight, recurrentWeight: recurrentWeight, bias: bias, geometry, plan,
        into: y, states: states)
    }
    let projection = MatmulGeometry(
      rows: geometry.rows, inner: geometry.features, columns: 4 * geometry.units)
    try matmul(x, inputWeight, projection, Epilogue(bias: bias), into: states.gates)
    if case .cells = plan {
      return try lstmCells(recurrentWeight, geometry, into: y, states: states)
    }
    try launch(
      "lstm_steps", from: .lstm, grid: recurrentGroups(geometry), recurrentWeight, states.gates,
      states.cells, states.before, y, UInt32(geometry.batch), UInt32(geometry.steps),
      UInt32(geometry.units), UInt32(geometry.isReversed ? 1 : 0))
  }

  package func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    if dy.count == 0 { return }
    let (batch, units) = (geometry.batch, geometry.units)
    let carried = try scratch(batch * units)
    switch plan(geometry) {
    case .tiles(let plan):
      try lstmTilesGradient(
        states, recurrentWeight: recurrentWeight, upstream: dy, carried: carried, geometry, plan,
        into: dz, hidden: dh)
    case .steps:
      let turned = try transposed(recurrentWeight, units: units, gates: 4)
      try launch(
        "lstm_steps_gradient", from: .lstm, grid: recurrentGroups(geometry), turned, states.gates,
        states.cells, dy, carried, dz, dh, UInt32(batch), UInt32(geometry.steps), UInt32(units),
        UInt32(geometry.isReversed ? 1 : 0))
    case .cells:
      try lstmCellsGradient(
        states, recurrentWeight: recurrentWeight, upstream: dy, carried: carried, geometry,
        into: dz, hidden: dh)
    }
  }

  private func plan(_ geometry: RecurrentGeometry) -> LSTMPlan {
    LSTMPlan(geometry, isCPUClass: isCPUClass, cores: info.computeUnits)
  }
}

// One step at a time.
extension OpenCLBackend {
  private func lstmCells(
    _ recurrentWeight: NDArray, _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    let (batch, units) = (geometry.batch, geometry.units)
    let (product, state) = (try scratch(batch * 4 * units), try scratch(batch * units))
    let recurrence = MatmulGeometry(rows: batch, inner: units, columns: 4 * units)
    for (time, previous) in geometry.order {
      if previous != nil { try matmul(state, recurrentWeight, recurrence, .none, into: product) }
      try launch(
        "lstm_cell", from: .lstm, grid: .items(batch * units, local: 64), product, states.gates,
        states.cells, states.before, y, state, UInt32(batch), UInt32(geometry.steps),
        UInt32(units), UInt32(time), UInt32(previous ?? 0), UInt32(previous == nil ? 0 : 1))
    }
  }

  private func lstmCellsGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray, carried: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    let (batch, units) = (geometry.batch, geometry.units)
    let (product, flow) = (try scratch(batch * units), try scratch(batch * 4 * units))
    let recurrence = MatmulGeometry(
      rows: batch, inner: 4 * units, columns: units, transposeRight: true)
    var hasLater = false
    for (time, previous) in geometry.order.reversed() {
      if hasLater { try matmul(flow, recurrentWeight, recurrence, .none, into: product) }
      try launch(
        "lstm_cell_gradient", from: .lstm, grid: .items(batch * units, local: 64), product,
        states.gates, states.cells, dy, carried, dz, flow, dh, UInt32(batch),
        UInt32(geometry.steps), UInt32(units), UInt32(time), UInt32(previous ?? 0),
        UInt32(previous == nil ? 0 : 1), UInt32(hasLater ? 1 : 0))
      hasLater = true
    }
  }
}
