internal import KeelBackend

/// How `lstm_tiles.cl` goes through time: rows of the batch to a tile, tiles to a work-item.
struct LSTMTiles: Hashable, Sendable {
  /// Rows of a tile (`LSTM_ROWS`).
  let rows: Int
  /// Vectors of sixteen units in a tile of the gradient (`LSTM_VECTORS`).
  let vectors: Int
  /// Tiles of a work-item.
  let tiles: Int

  /// The bits of the results depend on none of the three, so the number of cores may be asked.
  init(_ geometry: LSTMGeometry, cores: Int) {
    let (batch, units) = (geometry.batch, geometry.units)
    // Four gates of six rows and a line of the weight fill 28 of 32 registers. Few variants: each
    // takes a second to compile.
    let share = ceilDivide(batch, cores)
    rows = share < 2 ? 1 : share < 3 ? 2 : share < 5 ? 4 : 6
    vectors = ceilDivide(units, 64) * 64 > ceilDivide(units, 32) * 32 ? 2 : 4
    // Each tile reads both weights once in a step. What does not stay in the second cache is better
    // read once for all tiles of a core.
    let elements = 4 * units * (units + geometry.features)
    tiles = elements <= 1 << 17 ? 1 : ceilDivide(ceilDivide(batch, rows), cores)
  }

  var options: [String] { ["LSTM_ROWS=\(rows)", "LSTM_VECTORS=\(vectors)"] }

  func grid(_ geometry: LSTMGeometry) -> Grid {
    .tiles(ceilDivide(geometry.batch, rows * tiles))
  }
}

extension LSTMTiles: CustomStringConvertible {
  var description: String {
    "all steps in one launch, \(tiles) tile(s) of \(rows) rows to a work-item"
  }
}

extension OpenCLBackend {
  func lstmTiles(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: LSTMGeometry, _ plan: LSTMTiles, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    let w = try gatePanels(inputWeight, rows: geometry.features, units: geometry.units)
    let u = try gatePanels(recurrentWeight, rows: geometry.units, units: geometry.units)
    try launch(
      "lstm_tiles", source: .named("lstm_tiles"), options: plan.options,
      grid: plan.grid(geometry), x, bias, w, u, states.gates, states.cells, states.before, y,
      UInt32(geometry.batch), UInt32(geometry.steps), UInt32(geometry.features),
      UInt32(geometry.units), UInt32(geometry.isReversed ? 1 : 0), UInt32(plan.tiles))
  }

  func lstmTilesGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray, carried: NDArray,
    _ geometry: LSTMGeometry, _ plan: LSTMTiles, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    let units = geometry.units
    let u = try panels(
      recurrentWeight, lines: units, inner: 4 * units, lineStep: 4 * units, innerStep: 1,
      width: 16 * plan.vectors)
    try launch(
      "lstm_tiles_gradient", source: .named("lstm_tiles"), options: plan.options,
      grid: plan.grid(geometry), states.gates, states.cells, dy, u, carried, dz, dh,
      UInt32(geometry.batch), UInt32(geometry.steps), UInt32(units),
      UInt32(geometry.isReversed ? 1 : 0), UInt32(plan.tiles))
  }

  /// A weight of rows x 4 units, the columns of each gate in panels of sixteen.
  private func gatePanels(_ weight: NDArray, rows: Int, units: Int) throws(DeviceError) -> NDArray {
    try panels(
      weight, lines: units, inner: rows, lineStep: 1, innerStep: 4 * units, width: 16,
      matrices: 4, batchStep: units)
  }

  /// Lines in panels of `width`, as `matmul_pack` makes them.
  private func panels(
    _ array: NDArray, lines: Int, inner: Int, lineStep: Int, innerStep: Int, width: Int,
    matrices: Int = 1, batchStep: Int = 0
  ) throws(DeviceError) -> NDArray {
    let panels = ceilDivide(lines, width)
    let packed = try scratch(max(1, matrices * panels * inner * width))
    if inner == 0 { return packed }
    // The options of most products, whose program then serves here too.
    let options = MatmulTiles(rows: 8, vectors: 2, packsLeft: false, packsRight: true).options
    try launch(
      "matmul_pack", from: .matmul, options: options, grid: .tiles(panels, matrices), array,
      packed, UInt32(lines), UInt32(inner), UInt32(lineStep), UInt32(innerStep), UInt32(width),
      UInt64(batchStep))
    return packed
  }
}
