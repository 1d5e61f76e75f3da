internal import KeelBackend

/// How `convolution2d.cl` computes a gather: the width of a tile, and the form of the filter.
private struct Convolution2DTiles {
  /// Pixels of a tile (`TILE_PIXELS`).
  static let pixels = 8
  /// Vectors of sixteen channels in a tile (`TILE_VECTORS`).
  let vectors: Int
  let packsFilter: Bool
  /// Whether neighbouring work-items are neighbouring pixels, not neighbouring channels.
  let pixelsFirst: Bool
  /// Tiles that a work-item computes one after the other.
  let run: Int

  var channels: Int { 16 * vectors }
  var options: [String] { ["TILE_PIXELS=\(Self.pixels)", "TILE_VECTORS=\(vectors)"] }

  init(_ gather: Convolution2DGather, computeUnits: Int) {
    vectors = MatmulTiles.vectors(columns: gather.columns)
    // In place, a tile must fit in the channels, and they must be neighbours; a filter whose rows
    // are far apart is worth a copy. Measured in docs/benchmarks.md.
    packsFilter =
      gather.columns < 16 * vectors || gather.filterColumnStep != 1 || gather.isTurned
      || gather.columns >= 128 && gather.taps * gather.inner >= 256
    // A filter beyond the second cache is read once per row of tiles, not once per tile.
    let filterBytes = 4 * gather.taps * gather.inner * gather.columns * gather.groups
    pixelsFirst = filterBytes > 1 << 20
    // The start of a work-item takes as long as 250 steps of sixteen sums: short tiles share one,
    // while there are enough for all cores.
    let steps = max(1, gather.taps * gather.inner * vectors * Self.pixels / gather.phases)
    let tiles =
      ceilDivide(gather.columns, 16 * vectors) * gather.groups
      * ceilDivide(gather.phasePixels, Self.pixels) * gather.phases
    run = max(1, min(8, (1 << 14) / steps, tiles / (16 * computeUnits)))
  }
}

extension OpenCLBackend {
  func convolution2DTiles(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather, _ epilogue: Epilogue,
    into result: NDArray
  ) throws(DeviceError) {
    let plan = Convolution2DTiles(gather, computeUnits: limits.computeUnits)
    let panels = ceilDivide(gather.columns, plan.channels)
    let panelCount = gather.taps * gather.inner * plan.channels
    var operand = filter
    let packed = gather.groups * panels * panelCount
    if plan.packsFilter {
      operand = try scratch(max(1, packed + gather.inner))
      try launch(
        "convolution2d_pack", from: .convolution2D, options: plan.options,
        grid: .tiles(panels, gather.groups, gather.taps), filter, operand,
        UInt32(gather.inner), UInt32(gather.columns), UInt32(plan.channels),
        UInt32(gather.filterTapStep), UInt32(gather.filterInnerStep),
        UInt32(gather.filterColumnStep), UInt32(gather.filterGroupStep),
        UInt32(gather.isTurned ? 1 : 0))
    }
    let channelTiles = panels * gather.groups
    let pixelTiles = ceilDivide(gather.phasePixels, Convolution2DTiles.pixels)
    let grid = Grid.tiles(ceilDivide(channelTiles * pixelTiles, plan.run), gather.phases)
    try launch(
      "convolution2d_tiles", from: .convolution2D,
      options: plan.options + result.dtype.halfOptions, grid: grid,
      source, operand, epilogue.bias, result,
      UInt32(gather.batch), gather.sourceExtent, UInt32(gather.sourceChannels),
      gather.resultExtent, UInt32(gather.resultChannels), gather.kernelExtent,
      UInt32(gather.inner), UInt32(gather.columns), gather.sourceStep, gather.resultStep,
      gather.steps, gather.forwardOrigin,
      UInt32(plan.packsFilter ? plan.channels : gather.resultChannels),
      UInt64(plan.packsFilter ? panelCount : plan.channels),
      UInt64(plan.packsFilter ? panels * panelCount : gather.columns),
      UInt32(plan.packsFilter ? 1 : 0), UInt64(plan.packsFilter ? packed : 0),
      UInt32(plan.pixelsFirst ? 1 : 0),
      UInt32(plan.pixelsFirst ? pixelTiles : channelTiles), UInt32(channelTiles * pixelTiles),
      UInt32(plan.run),
      EpilogueArguments(epilogue))
  }
}
