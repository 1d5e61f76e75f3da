internal import KeelBackend

/// How `convolution2d_filter.cl` computes a filter gradient.
private struct Convolution2DFilterTiles {
  /// Rows (tap, input channel) of a tile (`TILE_ROWS`): nine, a first layer's 3 x 3 taps.
  static let rows = 9
  /// Vectors of sixteen output channels in a tile (`TILE_VECTORS`).
  let vectors: Int
  /// Parts of the pixels whose sums are added afterwards.
  let splits: Int
  /// Tiles of rows in all.
  let tiles: Int
  /// Tiles of rows that one work-item computes.
  let block: Int
  let blocks: Int
  /// Rows of pixels that run through all tiles of a block while they are in cache.
  let chunk: Int

  var channels: Int { 16 * vectors }
  var options: [String] { ["TILE_ROWS=\(Self.rows)", "TILE_VECTORS=\(vectors)"] }

  init(_ geometry: Convolution2DGeometry, filterCount: Int, computeUnits: Int) {
    vectors = geometry.groupOutChannels <= 16 ? 1 : 2
    splits = Self.splits(geometry, filterCount: filterCount)
    tiles = ceilDivide(geometry.taps * geometry.groupInChannels, Self.rows)
    let columns = ceilDivide(geometry.groupOutChannels, 16 * vectors) * geometry.groups
    // Enough work-items for the device; the order of each sum does not depend on this.
    let wanted = ceilDivide(max(16, 4 * computeUnits), splits * columns)
    block = ceilDivide(tiles, min(max(1, wanted), tiles))
    blocks = ceilDivide(tiles, block)
    chunk = max(1, 512 / geometry.outWidth)
  }

  /// Parts that depend on the extents alone, so that every run adds in one order; their sums take
  /// at most 4 MiB unless there is only one.
  static func splits(_ geometry: Convolution2DGeometry, filterCount: Int) -> Int {
    max(1, min(32, geometry.batch * geometry.outHeight, (4 << 20) / (4 * filterCount)))
  }
}

extension OpenCLBackend {
  func convolution2DFilterTiles(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry, into dfilter: NDArray,
    bias: BiasSums? = nil
  ) throws(DeviceError) {
    let source = try KernelSource.named("convolution2d_filter")
    let plan = Convolution2DFilterTiles(
      geometry, filterCount: dfilter.count, computeUnits: limits.computeUnits)
    let (image, extent) = try padded(x, geometry, plan, source)
    // Read again and again, it is better widened once.
    let upstream = plan.tiles == 1 ? dy : try widened(dy)
    let sums = plan.splits == 1 ? dfilter : try scratch(plan.splits * dfilter.count)
    let grid = Grid.tiles(
      ceilDivide(geometry.groupOutChannels, plan.channels) * geometry.groups, plan.blocks,
      plan.splits)
    try launch(
      "convolution2d_filter_tiles", source: source,
      options: plan.options + upstream.dtype.halfOptions, grid: grid,
      image, upstream, sums, UInt32(geometry.batch), extent, UInt32(geometry.inChannels),
      geometry.outputExtent, UInt32(geometry.outChannels), geometry.kernelExtent,
      UInt32(geometry.groupInChannels), UInt32(geometry.groupOutChannels), geometry.stride,
      geometry.dilation, UInt32(plan.block), UInt32(plan.chunk))
    if plan.splits == 1 {
      if let bias { try finish(bias) }
      return
    }
    try launch(
      "convolution2d_filter_sum", source: source, options: plan.options,
      grid: .tiles(ceilDivide(dfilter.count, 256) + ceilDivide(bias?.into.count ?? 0, 256)),
      sums, dfilter, UInt32(plan.splits), UInt32(dfilter.count), bias?.parts, bias?.into,
      UInt32(bias?.count ?? 0), UInt32(bias?.into.count ?? 0))
  }

  /// x with its border of zeros in memory, or as it is where there is none.
  private func padded(
    _ x: NDArray, _ geometry: Convolution2DGeometry, _ plan: Convolution2DFilterTiles,
    _ source: KernelSource
  ) throws(DeviceError) -> (NDArray, SIMD2<Int32>) {
    let height = geometry.height + geometry.padTop + geometry.padBottom
    let width = geometry.width + geometry.padLeft + geometry.padRight
    if height == geometry.height && width == geometry.width {
      return (try widened(x), geometry.inputExtent)
    }
    let extent = alongImage(width: width, height: height)
    let image = try scratch(geometry.batch * height * width * geometry.inChannels)
    try launch(
      "convolution2d_filter_pad", source: source, options: plan.options + x.dtype.halfOptions,
      grid: .tiles(height, geometry.batch), x, image, geometry.inputExtent, extent,
      geometry.padding, UInt32(geometry.inChannels))
    return (image, extent)
  }
}
