internal import KeelBackend

extension OpenCLBackend {
  /// The convolution (a gather with single steps) or its input gradient.
  func convolution2DWinograd(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather,
    _ plan: Convolution2DWinogradPlan, _ extents: Convolution2DWinogradPlan.Extents,
    _ epilogue: Epilogue, into result: NDArray
  ) throws(DeviceError) {
    let (inner, columns) = (extents.inner, extents.columns)
    let u = try points(plan, of: inner * columns)
    // The input gradient is the convolution with the filter turned round: its taps then run the
    // way memory does.
    let turns = gather.tapStep.x < 0
    let origin = turns ? gather.origin &+ gather.tapStep &* 2 : gather.origin
    let byColumns = winograd(plan, columns)
    let byInner = winograd(plan, inner)
    let run = isCPUClass ? 16 : 1
    let inBlocks = plan.block > 0 && source.dtype == result.dtype
    let width = inBlocks ? 16 * blockVectors(extents) : columns
    try launchWinograd(
      "convolution2d_winograd_filter", byColumns, filter.dtype,
      vectors: inner * columns / byColumns.width, run: run, filter, u.array, UInt32(inner),
      UInt32(columns), UInt32(width), UInt32(gather.filterTapStep),
      UInt32(gather.filterInnerStep), UInt32(gather.filterColumnStep), UInt32(turns ? 1 : 0),
      UInt32(run), UInt64(u.step))
    if inBlocks {
      return try convolution2DWinogradBlocks(
        source, points: u.array, uStep: u.step, gather, origin: origin, plan, extents, epilogue,
        into: result)
    }
    let v = try points(plan, of: plan.slice * inner)
    let m = try points(plan, of: plan.slice * columns)
    let tiles = extents.tiles(plan.tileOut)
    for slice in slices(plan, extents) {
      try transformSource(
        source, v, plan, byInner, extent: gather.sourceExtent, origin: origin, inner, tiles, slice)
      var product = MatmulGeometry(
        batch: plan.allPoints, rows: slice.count, inner: inner, columns: columns)
      (product.leftBatchStride, product.rightBatchStride) = (v.step, u.step)
      try matmul(
        v.array, u.array, product, into: MatmulResult(array: m.array, batchStride: m.step))
      let vectors = columns / byColumns.width
      let run = tileRun(vectors)
      try launchWinograd(
        "convolution2d_winograd_result", byColumns, result.dtype, vectors: slice.count * vectors,
        run: run,
        m.array, epilogue.bias, result, gather.resultExtent, UInt32(columns), tiles,
        UInt32(slice.lowerBound), UInt32(slice.count), UInt32(run), UInt64(m.step),
        EpilogueArguments(epilogue))
    }
  }

  /// The filter's gradient: the points of source and upstream gradient are multiplied over the
  /// tiles, block by block into the sums of some parts, or slice after slice into the same sums.
  func convolution2DFilterWinograd(
    _ x: NDArray, _ dy: NDArray, _ geometry: Convolution2DGeometry,
    _ plan: Convolution2DWinogradPlan, _ extents: Convolution2DWinogradPlan.Extents,
    into dfilter: NDArray
  ) throws(DeviceError) {
    let (inner, columns) = (extents.inner, extents.columns)
    if plan.block > 0, x.dtype == dy.dtype {
      let parts = plan.parts(extents)
      let step = inner * columns + 16
      let u = try scratch(parts * plan.allPoints * step)
      try convolution2DFilterWinogradBlocks(x, dy, geometry, plan, extents, into: u, step: step)
      return try transformFilterGradient(
        (u, step), parts: parts, width: 16 * blockVectors(extents), plan, extents, into: dfilter)
    }
    let u = try points(plan, of: inner * columns)
    let v = try points(plan, of: plan.slice * inner)
    let w = try points(plan, of: plan.slice * columns)
    let byInner = winograd(plan, inner)
    let byColumns = winograd(plan, columns)
    let tiles = extents.tiles(plan.tileOut)
    for slice in slices(plan, extents) {
      try transformSource(
        x, v, plan, byInner, extent: geometry.inputExtent, origin: .zero &- geometry.padding,
        inner, tiles, slice)
      let vectors = columns / byColumns.width
      let run = tileRun(vectors)
      try launchWinograd(
        "convolution2d_winograd_upstream", byColumns, dy.dtype, vectors: slice.count * vectors,
        run: run,
        dy, w.array, geometry.outputExtent, UInt32(columns), tiles, UInt32(slice.lowerBound),
        UInt32(slice.count), UInt32(run), UInt64(w.step))
      var product = MatmulGeometry(
        batch: plan.allPoints, rows: inner, inner: slice.count, columns: columns,
        transposeLeft: true)
      (product.leftBatchStride, product.rightBatchStride) = (v.step, w.step)
      let sums = MatmulResult(
        array: u.array, batchStride: u.step, accumulates: slice.lowerBound > 0)
      try matmul(v.array, w.array, product, into: sums)
    }
    try transformFilterGradient(u, parts: 1, width: columns, plan, extents, into: dfilter)
  }

  /// The filter's gradient from the points of some parts, in panels of `width` columns.
  private func transformFilterGradient(
    _ u: Points, parts: Int, width: Int, _ plan: Convolution2DWinogradPlan,
    _ extents: Convolution2DWinogradPlan.Extents, into dfilter: NDArray
  ) throws(DeviceError) {
    let (inner, columns) = (extents.inner, extents.columns)
    let byColumns = winograd(plan, columns)
    let run = isCPUClass ? 16 : 1
    try launchWinograd(
      "convolution2d_winograd_filter_gradient", byColumns, .float32,
      vectors: inner * columns / byColumns.width, run: run, u.array, dfilter, UInt32(inner),
      UInt32(columns), UInt32(width), UInt32(parts), UInt32(run),
      UInt64(plan.allPoints * u.step), UInt64(u.step))
  }

  private func transformSource(
    _ source: NDArray, _ v: Points, _ plan: Convolution2DWinogradPlan, _ build: Build,
    extent: SIMD2<Int32>, origin: SIMD2<Int32>, _ channels: Int, _ tiles: SIMD2<Int32>,
    _ slice: Range<Int>
  ) throws(DeviceError) {
    let vectors = channels / build.width
    let run = tileRun(vectors)
    try launchWinograd(
      "convolution2d_winograd_source", build, source.dtype, vectors: slice.count * vectors,
      run: run,
      source, v.array, extent, origin, UInt32(channels), tiles, UInt32(slice.lowerBound),
      UInt32(slice.count), UInt32(run), UInt64(v.step))
  }

  /// Values of all points, and the elements from one point to the next.
  private typealias Points = (array: NDArray, step: Int)
  /// Options of a build, and the width of its vectors.
  private typealias Build = (options: [String], width: Int)

  /// A cache line between points: at a distance of a power of two all would fall into one set.
  private func points(
    _ plan: Convolution2DWinogradPlan, of count: Int
  ) throws(DeviceError) -> Points {
    (try scratch(plan.allPoints * (count + 16)), count + 16)
  }

  private func winograd(_ plan: Convolution2DWinogradPlan, _ channels: Int) -> Build {
    let width = Convolution2DWinogradPlan.width(channels, isCPUClass) ?? 1
    return (["TILE_OUT=\(plan.tileOut)", "KEEL_WIDTH=\(width)"], width)
  }

  private func slices(
    _ plan: Convolution2DWinogradPlan, _ extents: Convolution2DWinogradPlan.Extents
  ) -> [Range<Int>] {
    let count = extents.tileCount(plan.tileOut)
    return stride(from: 0, to: count, by: plan.slice).map { $0..<min($0 + plan.slice, count) }
  }

  /// Vectors of a work-item: some tiles' worth on CPU-class devices, one on GPUs.
  private func tileRun(_ vectors: Int) -> Int { isCPUClass ? max(1, 16 / vectors) * vectors : 1 }

  /// - Parameter dtype: the type of the images or filters that the kernel reads or writes.
  private func launchWinograd<each Argument: KernelArgument>(
    _ function: String, _ build: Build, _ dtype: DType, vectors: Int, run: Int,
    _ arguments: repeat each Argument
  ) throws(DeviceError) {
    let grid =
      isCPUClass ? Grid.tiles(ceilDivide(vectors, run)) : Grid.items(vectors, local: 64)
    try launch(
      function, source: .named("convolution2d_winograd"),
      options: build.options + dtype.halfOptions, grid: grid, repeat each arguments)
  }
}
