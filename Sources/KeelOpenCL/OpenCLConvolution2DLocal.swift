internal import KeelBackend

extension OpenCLBackend {
  func convolution2DLocal(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather, _ epilogue: Epilogue,
    into result: NDArray
  ) throws(DeviceError) {
    let plan = LocalTiles(
      rows: gather.phasePixels, columns: gather.columns, inner: gather.taps * gather.inner,
      copies: gather.groups * gather.phases, limits: limits, splittable: false)
    let grid = Grid.groups(
      ceilDivide(gather.columns, plan.tile) * gather.groups,
      ceilDivide(gather.phasePixels, plan.tile), gather.phases, of: (plan.group, 1, 1))
    try launch(
      "convolution2d_local_tiles", source: .named("convolution2d_local"),
      options: plan.options(tileProduct), grid: grid, source, filter, epilogue.bias, result,
      UInt32(gather.batch), gather.sourceExtent, UInt32(gather.sourceChannels),
      gather.resultExtent, UInt32(gather.resultChannels), gather.kernelExtent,
      UInt32(gather.inner), UInt32(gather.columns), gather.sourceStep, gather.resultStep,
      gather.tapStep, gather.origin, UInt32(gather.filterTapStep),
      UInt32(gather.filterInnerStep), UInt32(gather.filterColumnStep),
      UInt32(gather.filterGroupStep), EpilogueArguments(epilogue))
  }

  func convolution2DFilterLocal(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry, into dfilter: NDArray
  ) throws(DeviceError) {
    let source = try KernelSource.named("convolution2d_filter_local")
    let rows = geometry.taps * geometry.groupInChannels
    let plan = LocalTiles(
      rows: rows, columns: geometry.groupOutChannels,
      inner: geometry.batch * geometry.outHeight * geometry.outWidth, copies: geometry.groups,
      limits: limits)
    let sums = plan.splits == 1 ? dfilter : try scratch(plan.splits * dfilter.count)
    let grid = Grid.groups(
      ceilDivide(geometry.groupOutChannels, plan.tile) * geometry.groups,
      ceilDivide(rows, plan.tile), plan.splits, of: (plan.group, 1, 1))
    try launch(
      "convolution2d_filter_local_tiles", source: source,
      options: plan.options(tileProduct), grid: grid, x, dy, sums, UInt32(geometry.batch),
      geometry.inputExtent, UInt32(geometry.inChannels),
      geometry.outputExtent, UInt32(geometry.outChannels), geometry.kernelExtent,
      UInt32(geometry.groupInChannels), UInt32(geometry.groupOutChannels), geometry.stride,
      geometry.dilation, .zero &- geometry.padding, UInt32(plan.splits))
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
