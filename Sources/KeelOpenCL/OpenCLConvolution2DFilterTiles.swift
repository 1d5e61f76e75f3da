internal import KeelBackend

/// How `convolution2d_filter.cl` computes a filter gradient.
private struct Convolution2DFilterTiles {
  /// Rows (tap, channel) of a tile (`TILE_ROWS`): eight of one tap where they divide the channels,
  /// else nine, a first layer's 3 x 3 taps; of turned ones four to nine that divide them.
  let rows: Int
  /// Whether the border must lie in memory: the rows of a tile may belong to several taps.
  let needsBorder: Bool
  /// Whether x stands in the vectors and dy in the rows, from the last tap to the first.
  let isTurned: Bool
  /// Channels of a group in the rows, and in the vectors.
  let rowChannels: Int
  let columns: Int
  /// Vectors of sixteen channels in a tile (`TILE_VECTORS`).
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
  var options: [String] { ["TILE_ROWS=\(rows)", "TILE_VECTORS=\(vectors)"] }

  init(_ geometry: Convolution2DGeometry, filterCount: Int, computeUnits: Int) {
    isTurned = Self.turns(geometry)
    rowChannels = isTurned ? geometry.outChannels : geometry.groupInChannels
    needsBorder = !isTurned && rowChannels % 8 != 0
    rows = isTurned ? Self.turnedRows(rowChannels) ?? 1 : needsBorder ? 9 : 8
    columns = isTurned ? geometry.inChannels : geometry.groupOutChannels
    vectors = isTurned ? MatmulTiles.vectors(columns: columns) : columns <= 16 ? 1 : 2
    let (height, width) =
      isTurned
      ? (geometry.height, geometry.width) : (geometry.outHeight, geometry.outWidth)
    splits = Self.splits(geometry.batch * height, filterCount: filterCount)
    tiles = ceilDivide(geometry.taps * rowChannels, rows)
    let columnTiles = ceilDivide(columns, 16 * vectors) * geometry.groups
    // Enough work-items for the device; the order of each sum does not depend on this.
    let wanted = ceilDivide(max(16, 4 * computeUnits), splits * columnTiles)
    block = ceilDivide(tiles, min(max(1, wanted), tiles))
    blocks = ceilDivide(tiles, block)
    chunk = max(1, 512 / width)
  }

  /// Parts that depend on the extents alone, so that every run adds in one order; their sums take
  /// at most 4 MiB unless there is only one.
  private static func splits(_ lines: Int, filterCount: Int) -> Int {
    max(1, min(32, lines, (4 << 20) / (4 * filterCount)))
  }

  /// Whether the input's channels fill vectors that the output's would leave unfilled, by enough to
  /// pay for the way back.
  private static func turns(_ geometry: Convolution2DGeometry) -> Bool {
    let reach = turnedReach(geometry)
    // Without a border in memory: what is not finite in x must not meet its zeros.
    guard turnedRows(geometry.outChannels) != nil, geometry.groups == 1, geometry.strideHeight == 1,
      geometry.strideWidth == 1,
      max(geometry.padTop, geometry.padBottom) <= reach.y,
      max(geometry.padLeft, geometry.padRight) <= reach.x
    else { return false }
    // A tile of one vector reads as much as it multiplies.
    let narrow = geometry.outChannels <= 16 ? 0.8 : 1
    return geometry.inChannels > 16
      && narrow * filled(geometry.outChannels) < 0.85 * filled(geometry.inChannels)
  }

  /// Rows of a tile of one tap.
  private static func turnedRows(_ channels: Int) -> Int? {
    (4...9).reversed().first { channels % $0 == 0 }
  }

  private static func filled(_ channels: Int) -> Double {
    let tile = 16 * MatmulTiles.vectors(columns: channels)
    return Double(channels) / Double(ceilDivide(channels, tile) * tile)
  }

  /// Pixels from the first tap to the last.
  static func turnedReach(_ geometry: Convolution2DGeometry) -> SIMD2<Int32> {
    geometry.dilation &* (geometry.kernelExtent &- 1)
  }
}

/// Images, and a border of zeros around them: in memory, or told to the kernel.
private struct BorderedImages {
  var array: NDArray
  let channels: Int
  var extent: SIMD2<Int32>
  let bordered: SIMD2<Int32>
  /// The border before the first row and pixel.
  var origin: SIMD2<Int32>
}

extension OpenCLBackend {
  func convolution2DFilterTiles(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry, into dfilter: NDArray,
    bias: BiasSums? = nil
  ) throws(DeviceError) {
    let source = try KernelSource.named("convolution2d_filter")
    let plan = Convolution2DFilterTiles(
      geometry, filterCount: dfilter.count, computeUnits: limits.computeUnits)
    if plan.isTurned {
      explain("convolution2d filterGradient: the input's channels in the vectors")
    }
    let images = try padded(
      plan.isTurned ? turned(dy, geometry) : straight(x, geometry), geometry.batch, plan, source)
    let pixels = plan.isTurned ? geometry.inputExtent : geometry.outputExtent
    let inVectors = plan.isTurned ? x : dy
    // Read again and again, it is better widened once.
    let upstream = plan.tiles == 1 ? inVectors : try widened(inVectors)
    // What is turned has to be turned back.
    let isWhole = plan.splits == 1 && !plan.isTurned
    let sums = isWhole ? dfilter : try scratch(plan.splits * dfilter.count)
    let grid = Grid.tiles(
      ceilDivide(plan.columns, plan.channels) * geometry.groups, plan.blocks, plan.splits)
    try launch(
      "convolution2d_filter_tiles", source: source,
      options: plan.options + upstream.dtype.halfOptions, grid: grid,
      images.array, upstream, sums, UInt32(geometry.batch), images.extent, UInt32(images.channels),
      pixels, UInt32(plan.columns * geometry.groups), geometry.kernelExtent,
      UInt32(plan.rowChannels), UInt32(plan.columns), geometry.stride, geometry.dilation,
      images.origin, UInt32(plan.block), UInt32(plan.chunk))
    if isWhole {
      if let bias { try finish(bias) }
      return
    }
    try launch(
      "convolution2d_filter_sum", source: source, options: plan.options,
      grid: .tiles(ceilDivide(dfilter.count, 256) + ceilDivide(bias?.into.count ?? 0, 256)),
      sums, dfilter, UInt32(plan.splits), UInt32(dfilter.count),
      UInt32(plan.isTurned ? geometry.inChannels : 0), UInt32(geometry.outChannels),
      bias?.parts, bias?.into, UInt32(bias?.count ?? 0), UInt32(bias?.into.count ?? 0))
  }

  private func straight(_ x: NDArray, _ geometry: Convolution2DGeometry) -> BorderedImages {
    let after = alongImage(width: geometry.padRight, height: geometry.padBottom)
    return BorderedImages(
      array: x, channels: geometry.inChannels, extent: geometry.inputExtent,
      bordered: geometry.inputExtent &+ geometry.padding &+ after, origin: geometry.padding)
  }

  /// What the last tap of every pixel of x meets comes first.
  private func turned(_ dy: NDArray, _ geometry: Convolution2DGeometry) -> BorderedImages {
    let reach = Convolution2DFilterTiles.turnedReach(geometry)
    return BorderedImages(
      array: dy, channels: geometry.outChannels, extent: geometry.outputExtent,
      bordered: geometry.inputExtent &+ reach, origin: reach &- geometry.padding)
  }

  /// Images with their border of zeros in memory where the kernel wants it there.
  private func padded(
    _ images: BorderedImages, _ batch: Int, _ plan: Convolution2DFilterTiles,
    _ source: KernelSource
  ) throws(DeviceError) -> BorderedImages {
    var result = images
    if !plan.needsBorder || images.bordered == images.extent {
      result.array = try widened(images.array)
      return result
    }
    let pixels = Int(images.bordered.x) * Int(images.bordered.y)
    result.array = try scratch(batch * pixels * images.channels)
    try launch(
      "convolution2d_filter_pad", source: source,
      options: plan.options + images.array.dtype.halfOptions,
      grid: .tiles(Int(images.bordered.y), batch), images.array, result.array, images.extent,
      images.bordered, images.origin, UInt32(images.channels))
    result.extent = images.bordered
    result.origin = .zero
    return result
  }
}
