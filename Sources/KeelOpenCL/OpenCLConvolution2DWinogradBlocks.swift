internal import KeelBackend

extension OpenCLBackend {
  /// Vectors of columns whose sums a work-item has in registers.
  func blockVectors(_ extents: Convolution2DWinogradPlan.Extents) -> Int {
    extents.columns % 32 == 0 ? 2 : 1
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
}
