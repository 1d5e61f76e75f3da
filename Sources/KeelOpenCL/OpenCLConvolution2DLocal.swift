internal import KeelBackend

extension OpenCLBackend {
  /// - Parameter tile: nil is the planning function's.
  func convolution2DLocal(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather, _ tile: LocalTile?,
    _ epilogue: Epilogue, into result: NDArray
  ) throws(DeviceError) {
    let formula = LocalTiles(gather, limits: limits)
    let plan = LocalTiles(tile, splits: formula.splits) ?? formula
    let isWhole = plan.splits == 1
    let sums = isWhole ? result : try scratch(plan.splits * result.count)
    let grid = Grid.groups(
      ceilDivide(gather.columns, plan.tile.columns) * gather.groups,
      ceilDivide(gather.phasePixels, plan.tile.rows), gather.phases * plan.splits,
      of: (plan.tile.group, 1, 1))
    let quads = TileQuads(
      left: [gather.inner, gather.sourceChannels],
      right: [gather.filterChannels.all, gather.filterChannels.ofGroup],
      result: [gather.columns, gather.resultChannels])
    let options = plan.options(
      tileProduct, leftInwards: quads.contains(.left) || gather.inner >= plan.tile.inner,
      rightInwards: gather.filterColumnStep != 1)
    try launch(
      "convolution2d_local_tiles", source: .named("convolution2d_local"),
      options: options, grid: grid, source, filter, epilogue.bias, sums,
      UInt32(gather.batch), gather.sourceExtent, UInt32(gather.sourceChannels),
      gather.resultExtent, UInt32(gather.resultChannels), gather.kernelExtent,
      UInt32(gather.inner), UInt32(gather.columns), gather.sourceStep, gather.resultStep,
      gather.tapStep, gather.origin, UInt32(gather.filterTapStep),
      UInt32(gather.filterInnerStep), UInt32(gather.filterColumnStep),
      UInt32(gather.filterGroupStep), UInt32(plan.splits), UInt64(result.count), quads.rawValue,
      EpilogueArguments(isWhole ? epilogue : .none))
    if isWhole { return }
    try joinParts(sums, plan.splits, columns: gather.resultChannels, epilogue, into: result)
  }

  /// - Parameter tile: nil is the planning function's.
  func convolution2DFilterLocal(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry, _ tile: LocalTile?,
    into dfilter: NDArray
  ) throws(DeviceError) {
    let rows = geometry.taps * geometry.groupInChannels
    let formula = LocalTiles(filterGradient: geometry, limits: limits)
    let plan = LocalTiles(tile, splits: formula.splits) ?? formula
    let sums = plan.splits == 1 ? dfilter : try scratch(plan.splits * dfilter.count)
    let grid = Grid.groups(
      ceilDivide(geometry.groupOutChannels, plan.tile.columns) * geometry.groups,
      ceilDivide(rows, plan.tile.rows), plan.splits, of: (plan.tile.group, 1, 1))
    let outChannels = [geometry.outChannels, geometry.groupOutChannels]
    let quads = TileQuads(
      left: [geometry.inChannels, geometry.groupInChannels], right: outChannels,
      result: outChannels)
    try launch(
      "convolution2d_filter_local_tiles", source: .named("convolution2d_filter_local"),
      options: plan.options(tileProduct, leftInwards: false, rightInwards: false), grid: grid,
      x, dy, sums, UInt32(geometry.batch),
      geometry.inputExtent, UInt32(geometry.inChannels),
      geometry.outputExtent, UInt32(geometry.outChannels), geometry.kernelExtent,
      UInt32(geometry.groupInChannels), UInt32(geometry.groupOutChannels), geometry.stride,
      geometry.dilation, .zero &- geometry.padding, UInt32(plan.splits), quads.rawValue)
    try sumSplits(sums, plan.splits, into: dfilter)
  }

  /// d[i] = sum over s of partial[s, i]; a single part is d itself already.
  func sumSplits(_ partial: NDArray, _ splits: Int, into d: NDArray) throws(DeviceError) {
    if splits == 1 { return }
    try launch(
      "convolution2d_filter_local_sum", source: .named("convolution2d_filter_local"),
      grid: .items(d.count, local: 64), partial, d, UInt32(splits), UInt32(d.count))
  }
}

extension LocalTiles {
  /// What the planning function says of a convolution or its input gradient: few pixels and
  /// channels share the steps of their sums among groups.
  init(_ gather: Convolution2DGather, limits: OpenCLLimits) {
    self.init(
      rows: gather.phasePixels, columns: gather.columns, inner: gather.taps * gather.inner,
      copies: gather.groups * gather.phases, limits: limits)
  }

  init(filterGradient geometry: Convolution2DGeometry, limits: OpenCLLimits) {
    self.init(
      rows: geometry.taps * geometry.groupInChannels, columns: geometry.groupOutChannels,
      inner: geometry.pixels, copies: geometry.groups, limits: limits)
  }
}
