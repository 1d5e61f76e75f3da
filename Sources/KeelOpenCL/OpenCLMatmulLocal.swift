internal import KeelBackend

/// A matrix product over tiles in local memory: the tile, and the parts of its sum.
package struct LocalTiles: Hashable, Sendable {
  package let tile: LocalTile
  /// Parts of the inner axis whose sums are added afterwards. They alone decide in which order
  /// numbers are added, so they depend on the extents and not on the device.
  package let splits: Int

  /// Given choices, for tuning; nil where the kernels cannot be launched with them.
  package init?(_ tile: LocalTile?, splits: Int) {
    guard let tile, (1...1024).contains(splits) else { return nil }
    (self.tile, self.splits) = (tile, splits)
  }

  /// - Parameter copies: products that run at once.
  package init(rows: Int, columns: Int, inner: Int, copies: Int, limits: OpenCLLimits) {
    // Enough groups for all units, of at least 128 steps each.
    let tiles = max(1, copies * ceilDivide(rows, 64) * ceilDivide(columns, 64))
    splits = max(1, min(256 / tiles, inner / 128, 64))
    tile = LocalTile.planned(
      rows: rows, columns: columns, copies: copies * splits, limits: limits)
  }

  /// The macros of a program that multiplies such tiles.
  ///
  /// - Parameters:
  ///   - leftInwards: whether neighbours of the left operand lie along the inner axis.
  ///   - rightInwards: the same of the right operand.
  func options(_ product: TileProduct, leftInwards: Bool, rightInwards: Bool) -> [String] {
    // An instruction of the tensor cores takes 8 steps: two at least lie between two barriers.
    let inner = product == .multiplyAdd ? tile.inner : max(16, tile.inner)
    var options = [
      "TILE_ROWS=\(tile.rows)", "TILE_COLUMNS=\(tile.columns)", "TILE_INNER=\(inner)",
      "LANE_ROWS=\(tile.laneRows)", "LANE_COLUMNS=\(tile.laneColumns)",
      "LEFT_INWARDS=\(leftInwards ? 1 : 0)", "RIGHT_INWARDS=\(rightInwards ? 1 : 0)",
    ]
    if product != .multiplyAdd { options.append("KEEL_PRODUCT=\(product.rawValue)") }
    return options
  }
}

/// Arrays whose numbers can be read or written 16 bytes at a time: their lines begin at multiples
/// of four elements, and hold whole quads. Arrays themselves begin at multiples of 512 bytes.
struct TileQuads: OptionSet, Hashable, Sendable {
  let rawValue: UInt32
  static let left = TileQuads(rawValue: 1)
  static let right = TileQuads(rawValue: 2)
  static let result = TileQuads(rawValue: 4)

  /// - Parameter multiples: the extents and distances that must be multiples of four.
  init(left: [Int], right: [Int], result: [Int]) {
    func areWhole(_ multiples: [Int]) -> Bool { multiples.allSatisfy { $0 % 4 == 0 } }
    self = []
    if areWhole(left) { insert(.left) }
    if areWhole(right) { insert(.right) }
    if areWhole(result) { insert(.result) }
  }

  init(rawValue: UInt32) { self.rawValue = rawValue }
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
    let options = plan.options(
      tileProduct, leftInwards: !geometry.transposeLeft, rightInwards: geometry.transposeRight)
    let grid = Grid.groups(
      ceilDivide(geometry.columns, plan.tile.columns), ceilDivide(geometry.rows, plan.tile.rows),
      geometry.batch * plan.splits, of: (plan.tile.group, 1, 1))
    let leftLine = geometry.transposeLeft ? geometry.rows : geometry.inner
    let rightLine = geometry.transposeRight ? geometry.inner : geometry.columns
    let quads = TileQuads(
      left: [leftLine, geometry.leftBatchStride], right: [rightLine, geometry.rightBatchStride],
      result: [geometry.columns, isWhole ? result.batchStride : area])
    try launch(
      "matmul_local_tiles", source: source, options: options, grid: grid,
      a, b, epilogue.bias, sums,
      UInt32(geometry.rows), UInt32(geometry.inner), UInt32(geometry.columns),
      UInt32(leftLine), UInt64(geometry.leftBatchStride),
      UInt32(rightLine), UInt64(geometry.rightBatchStride),
      UInt64(isWhole ? result.batchStride : area), UInt64(count), UInt32(plan.splits),
      UInt32(isWhole && result.accumulates ? 1 : 0), quads.rawValue,
      EpilogueArguments(isWhole ? epilogue : .none))
    if isWhole { return }
    try joinParts(
      sums, plan.splits, columns: geometry.columns, epilogue, into: result.array, area: area,
      batchStride: result.batchStride, accumulates: result.accumulates, options: options)
  }

  /// The results of several parts of the inner axis, added in their order, with the epilogue.
  ///
  /// - Parameters:
  ///   - area: elements of a result; nil is all of them.
  ///   - batchStride: elements from one result to the next.
  ///   - options: of a program that is there already.
  func joinParts(
    _ parts: NDArray, _ splits: Int, columns: Int, _ epilogue: Epilogue, into result: NDArray,
    area: Int? = nil, batchStride: Int? = nil, accumulates: Bool = false, options: [String] = []
  ) throws(DeviceError) {
    let count = parts.count / splits
    try launch(
      "matmul_local_sum", source: .named("matmul_local"), options: options,
      grid: .items(count, local: 64), parts, epilogue.bias, result, UInt32(splits), UInt64(count),
      UInt64(area ?? count),
      UInt32(columns), UInt64(batchStride ?? count), UInt32(accumulates ? 1 : 0),
      EpilogueArguments(epilogue))
  }
}
