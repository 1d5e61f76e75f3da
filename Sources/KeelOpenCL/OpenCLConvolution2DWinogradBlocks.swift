internal import KeelBackend

extension OpenCLBackend {
  /// Vectors of columns whose sums a work-item has in registers.
  func blockVectors(_ extents: Convolution2DWinogradPlan.Extents) -> Int {
    extents.columns % 32 == 0 && (extents.inner % 32 == 0 || !extents.isFilterGradient) ? 2 : 1
  }

  /// The convolution (a gather with single steps) or its input gradient from the points of its
  /// filter, in blocks of tiles (`convolution2d_winograd_blocks.cl`).
  ///
  /// - Parameters:
  ///   - source: of the same type as the result.
  ///   - u: the points of the filter, `uStep` elements from one to the next, each in panels of
  ///     `blockVectors` vectors.
  func convolution2DWinogradBlocks(
    _ source: NDArray, points u: NDArray, uStep: Int, _ gather: Convolution2DGather,
    origin: SIMD2<Int32>, _ plan: Convolution2DWinogradPlan,
    _ extents: Convolution2DWinogradPlan.Extents, _ epilogue: Epilogue, into result: NDArray
  ) throws(DeviceError) {
    let vectors = blockVectors(extents)
    let count = extents.tileCount(plan.tileOut)
    // A few for each core, so that none waits long for the last.
    let items = min(ceilDivide(count, plan.block), 4 * limits.computeUnits)
    let pointStep = plan.block * max(extents.inner, extents.columns) + 16
    let scratchStep = (plan.allPoints + 1) * pointStep
    let scratch = try scratch(items * scratchStep)
    try launch(
      "convolution2d_winograd_blocks", source: .named("convolution2d_winograd_blocks"),
      options: ["TILE_OUT=\(plan.tileOut)", "TILE_VECTORS=\(vectors)"] + source.dtype.halfOptions,
      grid: .tiles(items), source, u, epilogue.bias, result, scratch, gather.sourceExtent, origin,
      UInt32(extents.inner), gather.resultExtent, UInt32(extents.columns),
      extents.tiles(plan.tileOut), UInt32(count), UInt32(plan.block), UInt64(uStep),
      UInt64(scratchStep), EpilogueArguments(epilogue))
  }

  /// The points of the filter's gradient, summed over the tiles of each part
  /// (`convolution2d_winograd_filter_blocks.cl`).
  ///
  /// - Parameters:
  ///   - x: of the same type as the upstream gradient.
  ///   - u: `plan.parts(extents)` times all points, `step` elements from one to the next.
  func convolution2DFilterWinogradBlocks(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry,
    _ plan: Convolution2DWinogradPlan, _ extents: Convolution2DWinogradPlan.Extents,
    into u: NDArray, step: Int
  ) throws(DeviceError) {
    let items = plan.parts(extents)
    let channels = extents.inner + extents.columns
    let scratchStep = plan.allPoints * (plan.block * channels + 32)
    let scratch = try scratch(items * scratchStep)
    try launch(
      "convolution2d_winograd_filter_blocks",
      source: .named("convolution2d_winograd_filter_blocks"),
      options: ["TILE_OUT=\(plan.tileOut)", "TILE_VECTORS=\(blockVectors(extents))"]
        + x.dtype.halfOptions,
      grid: .tiles(items), x, dy, u, scratch, geometry.inputExtent, .zero &- geometry.padding,
      UInt32(extents.inner), geometry.outputExtent, UInt32(extents.columns),
      extents.tiles(plan.tileOut), UInt32(extents.tileCount(plan.tileOut)),
      UInt32(plan.partTiles(extents)), UInt32(plan.block), UInt64(step),
      UInt64(plan.allPoints * step), UInt64(scratchStep))
  }
}
