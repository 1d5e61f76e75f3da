internal import KeelBackend

extension OpenCLBackend {
  func convolution2DGroups(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather, _ epilogue: Epilogue,
    into result: NDArray
  ) throws(DeviceError) {
    let form = groupsForm(isDepthwise: gather.inner == 1 && gather.columns == 1)
    let vectors = ceilDivide(gather.resultChannels, form.width)
    let pixels = gather.batch * Int(gather.resultExtent.x) * Int(gather.resultExtent.y)
    // A CPU's work-item takes a few pixels, so that the next one finds the other channels of the
    // same pixels in the first cache: whole rows were five times slower.
    let run = form.local == 1 ? max(2, 8 / vectors) : 1
    try launch(
      "convolution2d_groups_gather", source: .named("convolution2d_groups"),
      options: form.options, grid: .items(vectors * ceilDivide(pixels, run), local: form.local),
      source, filter, epilogue.bias, result,
      UInt32(gather.batch), gather.sourceExtent, UInt32(gather.sourceChannels),
      gather.resultExtent, UInt32(gather.resultChannels), gather.kernelExtent,
      UInt32(gather.inner), UInt32(gather.columns), gather.sourceStep, gather.resultStep,
      gather.tapStep, gather.origin, UInt32(gather.filterTapStep),
      UInt32(gather.filterInnerStep), UInt32(gather.filterColumnStep),
      UInt32(gather.filterGroupStep), UInt32(run), EpilogueArguments(epilogue))
  }

  func convolution2DFilterGroups(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry, into dfilter: NDArray
  ) throws(DeviceError) {
    let isDepthwise = geometry.groupInChannels == 1 && geometry.groupOutChannels == 1
    let form = groupsForm(isDepthwise: isDepthwise)
    let rows = geometry.taps * geometry.groupInChannels
    // Parts depend on the extents alone, so that every run adds in one order.
    let splits = max(1, min(32, geometry.batch * geometry.outHeight))
    let sums = splits == 1 ? dfilter : try scratch(splits * dfilter.count)
    let grid = Grid.items(
      ceilDivide(geometry.outChannels, form.width), rows, splits, local: (form.local, 1, 1))
    try launch(
      "convolution2d_groups_filter", source: .named("convolution2d_groups"),
      options: form.options, grid: grid, x, dy, sums,
      UInt32(geometry.batch), geometry.inputExtent, UInt32(geometry.inChannels),
      geometry.outputExtent, UInt32(geometry.outChannels), geometry.kernelExtent,
      UInt32(geometry.groupInChannels), UInt32(geometry.groupOutChannels), geometry.stride,
      geometry.dilation, .zero &- geometry.padding)
    try sumSplits(sums, splits, into: dfilter)
  }

  /// Channels per work-item, work-items per group, and the macros that say so.
  private func groupsForm(
    isDepthwise: Bool
  ) -> (width: Int, local: Int, options: [String]) {
    let width = isDepthwise && isCPUClass ? 16 : 1
    return (width, isCPUClass ? 1 : 64, ["KEEL_WIDTH=\(width)"])
  }
}
