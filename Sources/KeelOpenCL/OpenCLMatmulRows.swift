package import KeelBackend

/// Products of many rows with a small right operand, as `matmul_rows.cl` computes them: the pixels
/// of images by the channels of a 1 x 1 convolution.
package enum MatmulRows {
  /// Rows of a tile, as in the program.
  private static let tileRows = 8
  /// Tiles of a work-item at most.
  private static let tiles = 8
  /// Elements of a right operand that stays in the second cache.
  private static let cachedElements = 1 << 16

  package static func computes(_ geometry: MatmulGeometry) -> Bool {
    geometry.batch == 1 && !geometry.transposeLeft && geometry.rows >= tileRows
      && geometry.columns > 0
  }

  /// Whether a product gains by it; small ones are not worth a program of their own.
  package static func suits(_ geometry: MatmulGeometry) -> Bool {
    computes(geometry) && (geometry.rows >= 1024 || geometry.rows * geometry.inner > 1 << 18)
      && geometry.inner * geometry.columns <= cachedElements
  }

  /// Tiles of rows, and how many of them a work-item takes: enough work-items for all cores.
  static func grid(rows: Int) -> (grid: Grid, tiles: Int) {
    let all = ceilDivide(rows, tileRows)
    let share = max(1, min(tiles, all / 32))
    return (.tiles(ceilDivide(all, share)), share)
  }
}

extension OpenCLBackend {
  func matmulRows(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    let vectors = ceilDivide(geometry.columns, 16)
    // Lines of whole vectors stay in place.
    let packs = geometry.transposeRight || geometry.columns % 16 != 0
    let right = try rightOperand(b, geometry, width: 16 * vectors, packs: packs)
    let (grid, tiles) = MatmulRows.grid(rows: geometry.rows)
    try launch(
      "matmul_rows", source: .named("matmul_rows"), grid: grid, try widened(a), right,
      epilogue.bias, c, UInt32(geometry.rows), UInt32(geometry.inner), UInt32(geometry.columns),
      UInt32(packs ? 16 * vectors : geometry.columns), UInt32(tiles), EpilogueArguments(epilogue))
  }
}
