package import KeelBackend

/// How `matmul_blocks.cl` computes a product with a long inner axis and a left operand that is
/// stored transposed: the gradient of a weight.
package struct MatmulBlocks: Hashable, Sendable {
  /// Rows of a tile (`TILE_ROWS`).
  package let rows: Int
  /// Vectors of sixteen columns in a tile (`TILE_VECTORS`).
  package let vectors: Int
  /// Parts of the inner axis, whose sums are added afterwards.
  package let parts: Int

  /// Steps of a block, and columns of one that a work-item holds at most, as in the program.
  private static let steps = 64
  private static let panelColumns = 512

  var columns: Int { 16 * vectors }
  var options: [String] { ["TILE_ROWS=\(rows)", "TILE_VECTORS=\(vectors)"] }

  /// Given choices, for tuning; ``computes(_:limits:)`` says for which products.
  package init(rows: Int, vectors: Int, parts: Int) {
    (self.rows, self.vectors, self.parts) = (rows, vectors, parts)
  }

  /// Nil for products that gain nothing.
  package init?(_ geometry: MatmulGeometry, limits: OpenCLLimits) {
    guard geometry.transposeLeft else { return nil }
    // Seven rows to a tile where that leaves a tenth less unused, as of 28; another variant of the
    // program is worth no less.
    let isSeven =
      11 * ceilDivide(geometry.rows, 7) * 7 < 10 * ceilDivide(geometry.rows, 8) * 8
    rows = isSeven ? 7 : 8
    vectors = MatmulTiles.vectors(columns: geometry.columns)
    // About as many work-items as share the work of a few cores evenly, of four blocks each at
    // least. The sums take at most 4 MiB. Extents alone decide: every run adds in one order.
    let groups = max(
      1,
      ceilDivide(
        ceilDivide(geometry.columns, 16 * vectors), Self.group(geometry, rows, vectors)))
    let area = max(1, geometry.rows * geometry.columns)
    parts = min(
      min(16, max(4, 32 / groups)), min(geometry.inner / (4 * Self.steps), (1 << 20) / area))
    // A block of both operands stays in the second cache.
    guard parts >= 4, geometry.rows <= 1024, computes(geometry, limits: limits) else { return nil }
  }

  package func computes(_ geometry: MatmulGeometry, limits: OpenCLLimits) -> Bool {
    geometry.batch == 1 && geometry.transposeLeft && !geometry.transposeRight
      && geometry.rows >= rows && geometry.columns > 0 && geometry.inner > 0
      && limits.localBytes >= 4 * Self.steps * Self.panelColumns
      && parts * geometry.rows * geometry.columns <= 16 << 20
  }

  /// Tiles of columns of a work-item: as many tiles as a block has steps, so that each calls for
  /// one line of the next.
  private static func group(_ geometry: MatmulGeometry, _ rows: Int, _ vectors: Int) -> Int {
    let wanted = ceilDivide(steps, max(1, ceilDivide(geometry.rows, rows)))
    return max(1, min(wanted, panelColumns / (16 * vectors)))
  }

  func group(_ geometry: MatmulGeometry) -> Int { Self.group(geometry, rows, vectors) }
}

extension OpenCLBackend {
  func matmulBlocks(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ plan: MatmulBlocks,
    _ epilogue: Epilogue, into result: MatmulResult
  ) throws(DeviceError) {
    let rowTiles = ceilDivide(geometry.rows, plan.rows)
    let columnTiles = ceilDivide(geometry.columns, plan.columns)
    let slice = ceilDivide(geometry.inner, plan.parts)
    let parts = ceilDivide(geometry.inner, slice)
    let group = plan.group(geometry)
    let sums = try scratch(parts * rowTiles * plan.rows * columnTiles * plan.columns)
    try launch(
      "matmul_blocks", source: .named("matmul_blocks"), options: plan.options,
      grid: .tiles(ceilDivide(columnTiles, group), parts), try widened(a), try widened(b), sums,
      UInt32(geometry.rows), UInt32(geometry.inner), UInt32(geometry.columns), UInt32(slice),
      UInt32(group))
    try addParts(
      sums, parts, tile: (plan.rows, plan.columns), geometry, epilogue, into: result)
  }
}
