internal import KeelBackend

/// How the tiles of recurrent layers go through time on CPU-class devices: rows of the batch to a
/// tile, tiles to a work-item.
struct RecurrentTiles: Hashable, Sendable {
  let gates: Int
  /// Rows of a tile (`TILE_ROWS`).
  let rows: Int
  /// Vectors of sixteen units in a tile of the gradient (`TILE_VECTORS`).
  let vectors: Int
  /// Tiles of a work-item.
  let tiles: Int

  /// The bits of the results depend on none of the three, so the number of cores may be asked.
  init(_ geometry: RecurrentGeometry, gates: Int, cores: Int) {
    let (batch, units) = (geometry.batch, geometry.units)
    self.gates = gates
    let elements = gates * units * (units + geometry.features)
    let staysInCache = elements <= 1 << 17
    // Four sums of six rows and a line of the weight fill 28 of 32 registers; four rows read a
    // weight in a cache as fast, and leave less of the last tile unused. Few variants: each takes a
    // second to compile.
    let share = ceilDivide(batch, cores)
    rows = share < 2 ? 1 : share < 3 ? 2 : share < 5 || staysInCache ? 4 : 6
    vectors = ceilDivide(units, 64) * 64 > ceilDivide(units, 32) * 32 ? 2 : 4
    // Each tile reads both weights once in a step. What does not stay in the second cache is better
    // read once for all tiles of a core.
    tiles = staysInCache ? 1 : ceilDivide(ceilDivide(batch, rows), cores)
  }

  var options: [String] {
    ["TILE_ROWS=\(rows)", "TILE_VECTORS=\(vectors)"]
  }

  func grid(_ geometry: RecurrentGeometry) -> Grid {
    .tiles(ceilDivide(geometry.batch, rows * tiles))
  }
}

extension RecurrentTiles: CustomStringConvertible {
  var description: String {
    "all steps in one launch, \(tiles) tile(s) of \(rows) rows to a work-item"
  }
}

extension OpenCLBackend {
  /// A weight of rows x (gates * units), the columns of each gate in panels of sixteen.
  func gatePanels(
    _ weight: NDArray, rows: Int, units: Int, gates: Int
  ) throws(DeviceError) -> NDArray {
    try panels(
      weight, lines: units, inner: rows, lineStep: 1, innerStep: gates * units, width: 16,
      matrices: gates, batchStep: units)
  }

  /// A recurrent weight transposed, in panels of a gradient's tile.
  func flowPanels(
    _ weight: NDArray, units: Int, _ plan: RecurrentTiles
  ) throws(DeviceError) -> NDArray {
    let inner = plan.gates * units
    return try panels(
      weight, lines: units, inner: inner, lineStep: inner, innerStep: 1, width: 16 * plan.vectors)
  }

  /// Lines in panels of `width`, as `matmul_pack` makes them.
  private func panels(
    _ array: NDArray, lines: Int, inner: Int, lineStep: Int, innerStep: Int, width: Int,
    matrices: Int = 1, batchStep: Int = 0
  ) throws(DeviceError) -> NDArray {
    let panels = ceilDivide(lines, width)
    let packed = try scratch(max(1, matrices * panels * inner * width))
    if inner == 0 { return packed }
    try launch(
      "matmul_pack", source: .named("matmul_pack"), grid: .tiles(panels, matrices), array,
      packed, UInt32(lines), UInt32(inner), UInt32(lineStep), UInt32(innerStep), UInt32(width),
      UInt64(batchStep))
    return packed
  }

  /// A recurrent weight transposed as it is, (gates * units) x units.
  func transposed(_ weight: NDArray, units: Int, gates: Int) throws(DeviceError) -> NDArray {
    let turned = try scratch(gates * units * units)
    try stridedCopy(
      weight, StridedPattern(strides: [1, gates * units]), into: turned,
      StridedPattern(strides: [units, 1]), extents: [gates * units, units])
    return turned
  }

  /// Rows of a group on GPUs, as the kernels have them (`RECURRENT_ROWS`).
  static let recurrentGroupRows = 4

  /// Groups that go through time on GPUs.
  func recurrentGroups(_ geometry: RecurrentGeometry) -> Grid {
    .groups(
      ceilDivide(geometry.batch, Self.recurrentGroupRows),
      of: min(teamSize, max(32, ceilDivide(geometry.units, 32) * 32)))
  }
}
