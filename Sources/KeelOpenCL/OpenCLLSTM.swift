package import KeelBackend

extension OpenCLBackend: LSTMBackend {
  package func lstmCell(
    _ x: NDArray, recurrent: NDArray?, previous: NDArray?,
    into gates: NDArray, cell: NDArray, hidden: NDArray
  ) throws(DeviceError) {
    if cell.count == 0 { return }
    let plan = CellPlan(cell.shape, isCPUClass: isCPUClass)
    try launch(
      "lstm_cell", from: .lstm, options: plan.options, grid: plan.grid, x, recurrent, previous,
      gates, cell, hidden, UInt32(plan.pieces), UInt32(plan.units), UInt32(plan.run))
  }

  package func lstmCellGradient(
    gates: NDArray, cell: NDArray, previous: NDArray?, upstream dy: NDArray,
    recurrent dh: NDArray?, carried: NDArray?, into dz: NDArray, dcell: NDArray
  ) throws(DeviceError) {
    if cell.count == 0 { return }
    let plan = CellPlan(cell.shape, isCPUClass: isCPUClass)
    try launch(
      "lstm_cell_gradient", from: .lstm, options: plan.options, grid: plan.grid, gates, cell,
      previous, dy, dh, carried, dz, dcell, UInt32(plan.pieces), UInt32(plan.units),
      UInt32(plan.run))
  }
}

/// How the units of a state are spread over work-items: vectors of a row, so many to each.
private struct CellPlan {
  let units: Int
  let width: Int
  /// Vectors of all rows.
  let pieces: Int
  /// Vectors of one work-item.
  let run: Int
  let grid: Grid

  var options: [String] { ["KEEL_WIDTH=\(width)", "KEEL_GROUP=1"] }

  init(_ state: Shape, isCPUClass: Bool) {
    units = state[1]
    width = isCPUClass ? 16 : units % 4 == 0 ? 4 : 1
    pieces = state[0] * ceilDivide(units, width)
    // Some hundred units, at five exponentials each, hide the start of a thread's work.
    run = isCPUClass ? 32 : 1
    grid = isCPUClass ? .tiles(ceilDivide(pieces, run)) : .items(pieces, local: 64)
  }
}
