internal import KeelBackend

/// A matrix product over tiles in local memory: the side of a tile, and the parts of its sum.
package struct LocalTiles: Hashable, Sendable {
  /// Rows and columns of a tile (`TILE_ROWS`, `TILE_COLUMNS`).
  package let tile: Int
  /// Steps of the inner axis in a tile (`TILE_INNER`).
  package let inner: Int
  /// Work-items along a side of a tile (`SIDE`).
  package let side: Int
  /// Parts of the inner axis whose sums are added afterwards.
  package let splits: Int

  package var group: Int { side * side }
  package var options: [String] {
    ["TILE_ROWS=\(tile)", "TILE_COLUMNS=\(tile)", "TILE_INNER=\(inner)", "SIDE=\(side)"]
  }

  /// Given choices, for tuning; nil where the kernels cannot be built with them.
  package init?(tile: Int, inner: Int, side: Int, splits: Int) {
    let group = side * side
    guard (4...16).contains(side), [8, 16, 32].contains(inner), (1...1024).contains(splits),
      tile > 0, tile % (4 * side) == 0, group % tile == 0, group % inner == 0
    else { return nil }
    (self.tile, self.inner, self.side, self.splits) = (tile, inner, side, splits)
  }

  /// Local memory of a work-group, each line padded by four numbers.
  var localBytes: Int { 4 * inner * 2 * (tile + 4) }

  /// - Parameters:
  ///   - copies: products that run at once.
  ///   - splittable: whether the inner axis may be split.
  package init(
    rows: Int, columns: Int, inner: Int, copies: Int, limits: OpenCLLimits,
    splittable: Bool = true
  ) {
    self.inner = 16
    side = limits.maximumGroup >= 256 ? 16 : 8
    // Wide tiles need fewer loads per product, but enough of them must be there for all units.
    let wide = copies * ceilDivide(rows, 128) * ceilDivide(columns, 128)
    tile = side == 16 && rows > 64 && columns > 64 && wide >= limits.computeUnits ? 128 : 64
    // The number of parts depends on the extents alone, so that every run adds in one order.
    let tiles = max(1, copies * ceilDivide(rows, tile) * ceilDivide(columns, tile))
    let longest = max(1, inner / (16 * self.inner))
    splits = splittable ? max(1, min(256 / tiles, longest, 64)) : 1
  }
}

extension OpenCLBackend {
  func matmulLocal(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ plan: LocalTiles,
    _ epilogue: Epilogue, into result: MatmulResult
  ) throws(DeviceError) {
    let source = try KernelSource.named("matmul_local")
    let isWhole = plan.splits == 1
    let area = geometry.rows * geometry.columns
    let count = geometry.batch * area
    let sums = isWhole ? result.array : try scratch(plan.splits * count)
    let options = plan.options(tileProduct)
    let grid = Grid.groups(
      ceilDivide(geometry.columns, plan.tile), ceilDivide(geometry.rows, plan.tile),
      geometry.batch * plan.splits, of: (plan.group, 1, 1))
    try launch(
      "matmul_local_tiles", source: source, options: options, grid: grid,
      a, b, epilogue.bias, sums,
      UInt32(geometry.rows), UInt32(geometry.inner), UInt32(geometry.columns),
      UInt32(geometry.transposeLeft ? 1 : geometry.inner),
      UInt32(geometry.transposeLeft ? geometry.rows : 1), UInt64(geometry.leftBatchStride),
      UInt32(geometry.transposeRight ? 1 : geometry.columns),
      UInt32(geometry.transposeRight ? geometry.inner : 1), UInt64(geometry.rightBatchStride),
      UInt64(isWhole ? result.batchStride : area), UInt64(count), UInt32(plan.splits),
      UInt32(isWhole && result.accumulates ? 1 : 0),
      EpilogueArguments(isWhole ? epilogue : .none))
    if isWhole { return }
    try launch(
      "matmul_local_sum", source: source, options: options,
      grid: .items(count, local: 64), sums, epilogue.bias, result.array, UInt32(plan.splits),
      UInt64(count), UInt64(area), UInt32(geometry.columns), UInt64(result.batchStride),
      UInt32(result.accumulates ? 1 : 0), EpilogueArguments(epilogue))
  }
}
