package import KeelBackend

/// How `matmul.cl` computes a product: which operands are packed, and the width of a tile.
package struct MatmulTiles: Hashable, Sendable {
  /// Rows of a tile (`TILE_ROWS`).
  package let rows: Int
  /// Vectors of sixteen columns in a tile (`TILE_VECTORS`).
  package let vectors: Int
  package let packsLeft: Bool
  package let packsRight: Bool
  /// Parts of the inner axis whose sums are added afterwards, and the steps of a part.
  package let splits: Int
  package let slice: Int
  /// Whether neighbouring work-items are neighbouring columns, not neighbouring rows.
  package let columnsFirst: Bool

  package var columns: Int { 16 * vectors }
  var options: [String] { ["TILE_ROWS=\(rows)", "TILE_VECTORS=\(vectors)"] }

  /// Given choices, for tuning; ``computes(_:)`` says for which products.
  /// Its parts have lengths once it is ``fitted(to:)`` one.
  package init(
    rows: Int, vectors: Int, packsLeft: Bool, packsRight: Bool, parts: Int = 1,
    columnsFirst: Bool = false
  ) {
    self.init(rows, vectors, packsLeft, packsRight, splits: parts, slice: 0, columnsFirst)
  }

  private init(
    _ rows: Int, _ vectors: Int, _ packsLeft: Bool, _ packsRight: Bool, splits: Int, slice: Int,
    _ columnsFirst: Bool
  ) {
    (self.rows, self.vectors, self.columnsFirst) = (rows, vectors, columnsFirst)
    (self.packsLeft, self.packsRight) = (packsLeft, packsRight)
    (self.splits, self.slice) = (splits, slice)
  }

  /// The same for the inner axis of a product.
  func fitted(to geometry: MatmulGeometry) -> MatmulTiles {
    let slice = max(1, ceilDivide(geometry.inner, splits))
    return MatmulTiles(
      rows, vectors, packsLeft, packsRight,
      splits: max(1, ceilDivide(geometry.inner, slice)), slice: slice, columnsFirst)
  }

  /// - Parameter parts: parts of the inner axis, where the plan is not to find them.
  package init(_ geometry: MatmulGeometry, parts: Int? = nil) {
    rows = 8
    let isSmall = geometry.rows * geometry.inner <= Self.fewElements
    // Tiles half of which are unused cost a small product microseconds, a program of its own for
    // narrower ones half a second of compilation before the first step.
    vectors = isSmall && geometry.columns <= 16 ? 2 : Self.vectors(columns: geometry.columns)
    // In place, a tile of rows must fit in the operand. A long operand that is read again and
    // again, each step on another page, is worth a copy; measured in docs/benchmarks.md.
    packsLeft =
      geometry.rows < rows
      || geometry.transposeLeft && geometry.rows >= 1024 && geometry.columns >= 512
    let isNarrow = geometry.columns < 16 * vectors
    packsRight =
      geometry.transposeRight || isNarrow && !isSmall
      || geometry.inner >= 1024 && geometry.columns >= 1024 && geometry.rows >= 64
    let parts = parts ?? (geometry.transposeLeft && !packsLeft ? Self.parts(geometry) : 1)
    slice = max(1, ceilDivide(geometry.inner, parts))
    splits = max(1, ceilDivide(geometry.inner, slice))
    // A right operand that stays in the second cache is read again for each tile of rows, so that
    // the left one, mostly the larger, is read once.
    columnsFirst = slice * geometry.columns <= 1 << 16
  }

  /// A left operand of so few elements does not read a narrow right one often enough for a copy and
  /// its launch.
  private static let fewElements = 1 << 16

  /// The width of a tile that leaves least of its last one unused; of equal ones 32 columns.
  static func vectors(columns: Int) -> Int {
    if columns <= 16 { return 1 }
    return ceilDivide(columns, 48) * 48 < ceilDivide(columns, 32) * 32 ? 3 : 2
  }

  /// A left operand that is stored transposed is read by half cache lines, once for every tile of
  /// rows: parts of both operands that stay in the second cache together. Their number depends on
  /// the extents alone, so that every run adds in one order; their sums take at most 2 MiB.
  private static func parts(_ geometry: MatmulGeometry) -> Int {
    let slice = max(1, (192 << 10) / max(1, geometry.rows + geometry.columns))
    let area = max(1, geometry.batch * geometry.rows * geometry.columns)
    let parts = min(geometry.inner / slice, (512 << 10) / area)
    return parts < 4 ? 1 : parts
  }

  /// Whether every operand that stays in place can be read so, and the sums of parts take at most
  /// 64 MiB.
  func computes(_ geometry: MatmulGeometry) -> Bool {
    splits * geometry.batch * geometry.rows * geometry.columns
      <= max(
        16 << 20, geometry.batch * geometry.rows * geometry.columns)
      && (packsLeft || geometry.rows >= rows)
      && (packsRight || !geometry.transposeRight)
  }
}

/// An operand as the tiles read it.
private struct TileOperand {
  let array: NDArray
  let isPacked: Bool
  /// Elements from one line to the next, from one step of the inner axis to the next, from one
  /// tile to the next, from one matrix of the batch to the next.
  let lineStep: Int
  let innerStep: Int
  let panelStep: Int
  let batchStep: Int
}

extension OpenCLBackend {
  package func matmulTiles(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ plan: MatmulTiles,
    _ epilogue: Epilogue, into result: MatmulResult, columnSums: NDArray? = nil
  ) throws(DeviceError) {
    let left = try operand(
      a, lines: geometry.rows, inner: geometry.inner, isTransposed: geometry.transposeLeft,
      matrices: geometry.leftBatchStride == 0 ? 1 : geometry.batch,
      batchStride: geometry.leftBatchStride, width: plan.rows, packs: plan.packsLeft)
    let right = try operand(
      b, lines: geometry.columns, inner: geometry.inner, isTransposed: !geometry.transposeRight,
      matrices: geometry.rightBatchStride == 0 ? 1 : geometry.batch,
      batchStride: geometry.rightBatchStride, width: plan.columns, packs: plan.packsRight)
    let isWhole = plan.splits == 1
    let area = geometry.rows * geometry.columns
    let sums = isWhole ? result.array : try scratch(geometry.batch * plan.splits * area)
    let (rowTiles, columnTiles) = (
      ceilDivide(geometry.rows, plan.rows), ceilDivide(geometry.columns, plan.columns)
    )
    let grid = Grid.tiles(
      plan.columnsFirst ? columnTiles : rowTiles, plan.columnsFirst ? rowTiles : columnTiles,
      geometry.batch * plan.splits)
    try launch(
      "matmul_tiles", from: .matmul, options: plan.options + ahead(geometry, plan), grid: grid,
      left.array, right.array, epilogue.bias, sums, columnSums,
      UInt32(geometry.rows), UInt32(geometry.inner), UInt32(geometry.columns),
      UInt32(left.lineStep), UInt32(left.innerStep), UInt64(left.panelStep),
      UInt64(left.batchStep), UInt32(right.innerStep), UInt64(right.panelStep),
      UInt64(right.batchStep), UInt64(isWhole ? result.batchStride : area),
      UInt32(left.isPacked ? 1 : 0), UInt32(right.isPacked ? 1 : 0),
      UInt32(isWhole && result.accumulates ? 1 : 0), UInt32(plan.splits), UInt32(plan.slice),
      UInt32(plan.columnsFirst ? 1 : 0), EpilogueArguments(isWhole ? epilogue : .none))
    if isWhole { return }
    try addParts(
      sums, plan.splits, tile: (geometry.rows, geometry.columns), geometry, epilogue, into: result)
  }

  /// The sum of the results of several parts of the inner axis, with the epilogue.
  ///
  /// - Parameter tile: rows and columns of the tiles of which a part consists; of the whole result
  ///   where it is stored row by row.
  func addParts(
    _ parts: NDArray, _ count: Int, tile: (rows: Int, columns: Int), _ geometry: MatmulGeometry,
    _ epilogue: Epilogue, into result: MatmulResult
  ) throws(DeviceError) {
    try launch(
      "matmul_sum", source: .named("matmul_sum"), grid: .tiles(geometry.rows, geometry.batch),
      parts, epilogue.bias, result.array, UInt32(count), UInt32(geometry.columns),
      UInt32(tile.rows), UInt32(tile.columns), UInt64(result.batchStride),
      UInt32(result.accumulates ? 1 : 0), EpilogueArguments(epilogue))
  }

  /// What a product fetches ahead: later steps of a long left operand that is stored transposed.
  /// Measured in docs/benchmarks.md.
  private func ahead(_ geometry: MatmulGeometry, _ plan: MatmulTiles) -> [String] {
    guard geometry.transposeLeft, !plan.packsLeft, plan.columnsFirst, geometry.batch == 1,
      geometry.inner >= 1024, geometry.rows * geometry.inner > 1 << 18
    else { return [] }
    return ["TILE_AHEAD=16"]
  }

  /// The right operand of a product, in one panel of all columns if `packs`.
  func rightOperand(
    _ b: NDArray, _ geometry: MatmulGeometry, width: Int, packs: Bool
  ) throws(DeviceError) -> NDArray {
    try operand(
      b, lines: geometry.columns, inner: geometry.inner, isTransposed: !geometry.transposeRight,
      matrices: 1, batchStride: 0, width: width, packs: packs
    ).array
  }

  /// An operand of `lines` x inner (inner x lines where transposed), packed into panels of `width`
  /// lines if the plan says so.
  private func operand(
    _ array: NDArray, lines: Int, inner: Int, isTransposed: Bool, matrices: Int,
    batchStride: Int, width: Int, packs: Bool
  ) throws(DeviceError) -> TileOperand {
    let lineStep = isTransposed ? 1 : inner
    let innerStep = isTransposed ? lines : 1
    guard packs else {
      return TileOperand(
        array: try widened(array), isPacked: false, lineStep: lineStep, innerStep: innerStep,
        panelStep: width * lineStep, batchStep: batchStride)
    }
    let panels = ceilDivide(lines, width)
    let panelCount = inner * width
    let packed = try scratch(max(1, matrices * panels * panelCount))
    if inner > 0 {
      try launch(
        "matmul_pack", source: .named("matmul_pack"), options: array.dtype.halfOptions,
        grid: .tiles(panels, matrices),
        array, packed, UInt32(lines), UInt32(inner), UInt32(lineStep), UInt32(innerStep),
        UInt32(width), UInt64(batchStride))
    }
    return TileOperand(
      array: packed, isPacked: true, lineStep: 1, innerStep: width, panelStep: panelCount,
      batchStep: matrices == 1 ? 0 : panels * panelCount)
  }
}
