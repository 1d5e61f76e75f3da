internal import KeelBackend

/// Whether `convolution2d_spread.cl` computes a gather, and how: one product with the filters of
/// all taps, whose results are then added tap by tap. It pays where few channels leave vectors
/// unfilled.
struct Convolution2DSpread {
  /// Vectors of sixteen (tap, channel) in a tile (`TILE_VECTORS`), and pixels (`TILE_PIXELS`).
  let vectors: Int
  let pixels: Int
  /// Tiles that hold all taps and channels.
  let panels: Int
  /// Parts of an image, and the rows of results in each.
  let parts: Int
  let partRows: Int
  /// Elements that a work-item keeps: the products of as many rows as the filter has taps.
  let scratchStep: Int
  /// The multiply-adds of vectors over those of tiles with one tap at a time.
  let share: Double

  var columns: Int { 16 * vectors }
  var options: [String] { ["TILE_PIXELS=\(pixels)", "TILE_VECTORS=\(vectors)"] }

  /// nil where one tap at a time costs less, or the form is another.
  init?(_ gather: Convolution2DGather) {
    let single = Convolution2DGather.single
    let kernel = gather.kernelExtent
    guard gather.groups == 1, gather.sourceStep == single, gather.resultStep == single,
      gather.steps == single, gather.inner > 0, gather.taps > 1,
      (0..<kernel.x).contains(-gather.forwardOrigin.x)
    else { return nil }
    let filled = ceilDivide(gather.taps * gather.columns, 16)
    panels = ceilDivide(filled, 7)
    vectors = ceilDivide(filled, panels)
    // Measured: a tile's sums fill half of the registers.
    pixels = vectors > 5 ? 2 : 4
    let width = max(Int(gather.sourceExtent.x), Int(gather.resultExtent.x)) + Int(kernel.x)
    scratchStep = Int(kernel.y) * width * panels * 16 * vectors + 16
    let height = Int(gather.resultExtent.y)
    // Some parts for each core; the rows above and below a part are computed once more.
    parts = max(1, min(ceilDivide(16, max(1, gather.batch)), height / 8))
    partRows = ceilDivide(height, parts)
    let tile = 16 * MatmulTiles.vectors(columns: gather.columns)
    let direct = gather.taps * gather.inner * ceilDivide(gather.columns, tile) * (tile / 16)
    let twice = parts > 1 ? Int(kernel.y) - 1 : 0
    let product = gather.inner * panels * vectors * (partRows + twice)
    let sums = 3 * gather.taps * ceilDivide(gather.columns, 16) * partRows
    share = Double(product + sums) / Double(direct * partRows)
    // The rows that wait must fit in half of a second cache.
    guard share < 0.9, scratchStep <= 128 << 10 else { return nil }
  }
}

extension Convolution2DGather {
  /// Whether the taps run against the way of memory: the input gradient is then the convolution
  /// with the filter turned round.
  var isTurned: Bool { tapStep.x < 0 && resultStep == Self.single }
  /// Steps from tap to tap, and the place of the first one, once turned.
  var steps: SIMD2<Int32> { isTurned ? .zero &- tapStep : tapStep }
  var forwardOrigin: SIMD2<Int32> {
    isTurned ? origin &+ tapStep &* (kernelExtent &- 1) : origin
  }
}

extension OpenCLBackend {
  func convolution2DSpread(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather,
    _ plan: Convolution2DSpread, _ epilogue: Epilogue, into result: NDArray
  ) throws(DeviceError) {
    let program = try KernelSource.named("convolution2d_spread")
    let packed = try scratch(plan.panels * gather.inner * plan.columns)
    try launch(
      "convolution2d_spread_pack", source: program, options: plan.options,
      grid: .tiles(plan.panels, gather.inner), filter, packed, UInt32(gather.taps),
      UInt32(gather.columns), UInt32(gather.filterTapStep), UInt32(gather.filterInnerStep),
      UInt32(gather.filterColumnStep), UInt32(gather.isTurned ? 1 : 0))
    let items = min(gather.batch * plan.parts, 4 * limits.computeUnits)
    let products = try scratch(items * plan.scratchStep)
    try launch(
      "convolution2d_spread", source: program, options: plan.options, grid: .tiles(items),
      source, packed, epilogue.bias, result, products, UInt32(gather.batch),
      gather.sourceExtent, gather.resultExtent, gather.kernelExtent, gather.forwardOrigin,
      UInt32(gather.inner), UInt32(gather.columns), UInt32(plan.panels), UInt32(plan.partRows),
      UInt64(plan.scratchStep), EpilogueArguments(epilogue))
  }
}
