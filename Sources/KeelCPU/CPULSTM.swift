internal import CKeelLoops
package import KeelBackend

extension CPUBackend: LSTMBackend {
  package func lstmCell(
    _ x: NDArray, recurrent: NDArray?, previous: NDArray?,
    into gates: NDArray, cell: NDArray, hidden: NDArray
  ) throws(DeviceError) {
    let (input, before, state) = (x.floats, recurrent?.floats, previous?.floats)
    let (opened, memory, output) = (gates.floats, cell.floats, hidden.floats)
    overCells(cell) { units, begin, end in
      keel_lstm_cell(input, before, state, opened, memory, output, units, begin, end)
    }
  }

  package func lstmCellGradient(
    gates: NDArray, cell: NDArray, previous: NDArray?, upstream dy: NDArray,
    recurrent dh: NDArray?, carried: NDArray?, into dz: NDArray, dcell: NDArray
  ) throws(DeviceError) {
    let (opened, memory, state) = (gates.floats, cell.floats, previous?.floats)
    let (upstream, later, flow) = (dy.floats, dh?.floats, carried?.floats)
    let (result, back) = (dz.floats, dcell.floats)
    overCells(cell) { units, begin, end in
      keel_lstm_cell_gradient(
        opened, memory, state, upstream, later, flow, result, back, units, begin, end)
    }
  }

  /// Counts a launch and runs `body(units, begin, end)` over the rows of a state.
  private func overCells(
    _ cell: NDArray, _ body: (_ units: Int, _ begin: Int, _ end: Int) -> Void
  ) {
    countLaunch()
    guard cell.count > 0 else { return }
    let units = cell.shape[1]
    // Five exponentials per unit: parts are smaller than those of a copy.
    inRows(cell.shape[0], columns: 16 * units) { begin, end in body(units, begin, end) }
  }
}
