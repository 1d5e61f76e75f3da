package import KeelBackend

/// What is computed of a convolution.
package enum Convolution2DDirection: String, Hashable, Sendable, CaseIterable, Codable {
  case forward, inputGradient, filterGradient
}

/// Which kernels compute a convolution or one of its gradients: a function of the extents and the
/// class of device.
package enum Convolution2DPlan: Hashable, Sendable {
  /// Groups of few channels: no matrix product (`convolution2d_groups.cl`).
  case groups
  /// One tap, single steps, no border: a matrix product of pixels and channels (`matmul.cl`,
  /// `matmul_local.cl`).
  case product
  /// 3 x 3 taps with single steps and enough channels: fewer products
  /// (`convolution2d_winograd.cl`).
  case winograd(Convolution2DWinogradPlan)
  /// Register tiles for CPU-class devices (`convolution2d.cl`, `convolution2d_filter.cl`; few
  /// channels of the result: `convolution2d_spread.cl`).
  case tiles
  /// Local-memory tiles for GPUs (`convolution2d_local.cl`, `convolution2d_filter_local.cl`); nil
  /// is the planning function's tile.
  case local(LocalTile?)

  package init(
    _ geometry: Convolution2DGeometry, _ direction: Convolution2DDirection, isCPUClass: Bool,
    precision: ProductPrecision = .float32
  ) {
    let narrow = min(geometry.groupInChannels, geometry.groupOutChannels)
    if geometry.groups > 1 && narrow < 8 {
      self = .groups
    } else if geometry.isProduct {
      self = .product
    } else if precision == .float32,
      // Its transforms would add what tf32 loses up, many times over.
      let plan = Convolution2DWinogradPlan(
        geometry, geometry.winogradExtents(direction), isCPUClass: isCPUClass)
    {
      self = .winograd(plan)
    } else {
      self = isCPUClass ? .tiles : .local(nil)
    }
  }
}

extension Convolution2DPlan: CustomStringConvertible {
  package var description: String {
    switch self {
    case .groups: "one group per few channels, no matrix product"
    case .product: "a matrix product of pixels and channels"
    case .winograd(let plan):
      "Winograd, tiles of \(plan.tileOut) x \(plan.tileOut) in "
        + (plan.block > 0 ? "blocks of \(plan.block)" : "slices of \(plan.slice)")
        + (plan.share == 1
          ? "" : ", estimated at \(plan.share.fixed(2)) of the direct kernels' time")
    case .tiles: "register tiles (Winograd: another form, or no gain)"
    case .local(let tile):
      "local-memory tiles" + (tile.map { " of \($0)" } ?? "")
        + " (Winograd: another form, or no gain)"
    }
  }
}

extension Convolution2DGeometry {
  /// Input channels that one output channel reads.
  var groupInChannels: Int { inChannels / groups }
  /// Output channels of a group.
  var groupOutChannels: Int { outChannels / groups }
  var taps: Int { kernelHeight * kernelWidth }
  /// Pixels of all results.
  var pixels: Int { batch * outHeight * outWidth }
  /// Whether every result pixel is a product of the channels of its one source pixel.
  package var isProduct: Bool {
    groups == 1 && taps == 1 && strideHeight == 1 && strideWidth == 1
      && padTop == 0 && padLeft == 0 && padBottom == 0 && padRight == 0
  }

  var inputExtent: SIMD2<Int32> { alongImage(width: width, height: height) }
  var outputExtent: SIMD2<Int32> { alongImage(width: outWidth, height: outHeight) }
  var kernelExtent: SIMD2<Int32> { alongImage(width: kernelWidth, height: kernelHeight) }
  var stride: SIMD2<Int32> { alongImage(width: strideWidth, height: strideHeight) }
  var dilation: SIMD2<Int32> { alongImage(width: dilationWidth, height: dilationHeight) }
  var padding: SIMD2<Int32> { alongImage(width: padLeft, height: padTop) }
}

/// A convolution or its input gradient as one gather: what is read, from where, with which steps.
///
/// Result pixel q meets tap t at source pixel (q * sourceStep + origin + t * tapStep) / resultStep,
/// where that divides.
struct Convolution2DGather {
  let batch: Int
  let sourceExtent: SIMD2<Int32>
  let sourceChannels: Int
  let resultExtent: SIMD2<Int32>
  let resultChannels: Int
  let kernelExtent: SIMD2<Int32>
  /// Source channels and result channels of a group.
  let inner: Int
  let columns: Int
  let groups: Int
  let sourceStep: SIMD2<Int32>
  let resultStep: SIMD2<Int32>
  let tapStep: SIMD2<Int32>
  let origin: SIMD2<Int32>
  /// Where tap t, source channel k and result channel c of group g lie in the filter.
  let filterTapStep: Int
  let filterInnerStep: Int
  let filterColumnStep: Int
  let filterGroupStep: Int

  static let single = SIMD2<Int32>(1, 1)

  var taps: Int { Int(kernelExtent.x) * Int(kernelExtent.y) }
  /// Channels along the lines of the filter: of all groups, and of one.
  var filterChannels: (all: Int, ofGroup: Int) {
    filterColumnStep == 1 ? (filterInnerStep, columns) : (filterColumnStep, inner)
  }
  /// Residues of a result pixel modulo the step: each meets taps of its own.
  var phases: Int { Int(resultStep.x) * Int(resultStep.y) }
  /// The most result pixels that a phase has.
  var phasePixels: Int {
    batch * ceilDivide(Int(resultExtent.x), Int(resultStep.x))
      * ceilDivide(Int(resultExtent.y), Int(resultStep.y))
  }

  /// The convolution itself.
  static func forward(_ geometry: Convolution2DGeometry) -> Convolution2DGather {
    Convolution2DGather(
      batch: geometry.batch, sourceExtent: geometry.inputExtent,
      sourceChannels: geometry.inChannels, resultExtent: geometry.outputExtent,
      resultChannels: geometry.outChannels, kernelExtent: geometry.kernelExtent,
      inner: geometry.groupInChannels, columns: geometry.groupOutChannels,
      groups: geometry.groups, sourceStep: geometry.stride, resultStep: single,
      tapStep: geometry.dilation, origin: .zero &- geometry.padding,
      filterTapStep: geometry.groupInChannels * geometry.outChannels,
      filterInnerStep: geometry.outChannels, filterColumnStep: 1,
      filterGroupStep: geometry.groupOutChannels)
  }

  /// The gradient by the input, a gather from dy.
  static func inputGradient(_ geometry: Convolution2DGeometry) -> Convolution2DGather {
    Convolution2DGather(
      batch: geometry.batch, sourceExtent: geometry.outputExtent,
      sourceChannels: geometry.outChannels, resultExtent: geometry.inputExtent,
      resultChannels: geometry.inChannels, kernelExtent: geometry.kernelExtent,
      inner: geometry.groupOutChannels, columns: geometry.groupInChannels,
      groups: geometry.groups, sourceStep: single, resultStep: geometry.stride,
      tapStep: .zero &- geometry.dilation, origin: geometry.padding,
      filterTapStep: geometry.groupInChannels * geometry.outChannels,
      filterInnerStep: 1, filterColumnStep: geometry.outChannels,
      filterGroupStep: geometry.groupOutChannels)
  }
}

extension OpenCLBackend: Convolution2DBackend {
  package func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    try convolution2D(x, filter: filter, geometry, epilogue, into: y, by: plan(geometry, .forward))
  }

  package func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try convolution2DInputGradient(
      upstream: dy, filter: filter, geometry, into: dx, by: plan(geometry, .inputGradient))
  }

  package func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError) {
    try convolution2DFilterGradient(
      x, upstream: dy, geometry, into: dfilter, by: plan(geometry, .filterGradient))
  }

  package func convolution2DParameterGradients(
    _ x: NDArray, output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray
  ) throws(DeviceError) {
    let plan = plan(geometry, .filterGradient)
    guard case .tiles = plan, activation != .identity, dfilter.dtype == .float32,
      db.count > 1, dfilter.count > 0, dy.count > 0, x.count > 0
    else {
      try pullEpilogue(activation, output: y, upstream: dy, bias: db)
      return try convolution2DFilterGradient(x, upstream: dy, geometry, into: dfilter, by: plan)
    }
    // The last sums of both in one launch; to the bit what the two would give.
    let sums = try sumParts(y.asRows, dy.asRows, activation, into: dy.asRows, bias: db)
    try convolution2DFilterTiles(x, dy, geometry, into: dfilter, bias: sums)
  }

  package func convolution2DParameterGradients(
    _ x: NDArray, maxima: WindowMaxima, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray,
    inner dz: NDArray
  ) throws(DeviceError) {
    let plan = plan(geometry, .filterGradient)
    let (y, upstream) = (maxima.y.asRows, maxima.upstream.asRows)
    guard case .tiles = plan, activation != .identity, dfilter.dtype == .float32,
      db.count > 1, dfilter.count > 0, y.count > 0, x.count > 0
    else {
      try pullEpilogue(activation, output: y, upstream: upstream, bias: db)
      try maxPooling2DGradient(
        upstream: maxima.upstream, indices: maxima.indices, maxima.geometry, into: dz)
      return try convolution2DFilterGradient(x, upstream: dz, geometry, into: dfilter, by: plan)
    }
    let sums = try sumParts(y, upstream, activation, into: upstream, bias: db)
    try maxPooling2DGradient(
      upstream: maxima.upstream, indices: maxima.indices, maxima.geometry, into: dz)
    try convolution2DFilterTiles(x, dz, geometry, into: dfilter, bias: sums)
  }

  private func plan(
    _ geometry: Convolution2DGeometry, _ direction: Convolution2DDirection
  ) -> Convolution2DPlan {
    let isCPUClass = self.isCPUClass
    let precision = productPrecision
    // Measured with float32.
    let tuned =
      precision == .float32
      ? tuning.convolution2D(geometry, direction, isCPUClass: isCPUClass, limits: limits) : nil
    let plan =
      tuned
      ?? Convolution2DPlan(geometry, direction, isCPUClass: isCPUClass, precision: precision)
    explain("convolution2d \(direction): \(plan)" + (tuned == nil ? "" : ", tuned"))
    return plan
  }
}

// The same by the kernels of a given plan, which must be able to compute the geometry.
extension OpenCLBackend {
  package func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray, by plan: Convolution2DPlan
  ) throws(DeviceError) {
    try convolution2DGather(
      x, filter, .forward(geometry), geometry.winogradExtents(.forward), plan, epilogue, into: y)
  }

  package func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray,
    by plan: Convolution2DPlan
  ) throws(DeviceError) {
    try convolution2DGather(
      dy, filter, .inputGradient(geometry), geometry.winogradExtents(.inputGradient), plan, .none,
      into: dx)
  }

  package func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry, into dfilter: NDArray,
    by plan: Convolution2DPlan
  ) throws(DeviceError) {
    if dfilter.count == 0 { return }
    // Without pixels it is the sum of no parts.
    if dy.count == 0 || x.count == 0 { return try fill(dfilter, with: 0) }
    if dfilter.dtype.isHalf {
      return try narrowing(dfilter) { (wide) throws(DeviceError) in
        try convolution2DFilterGradient(x, upstream: dy, geometry, into: wide, by: plan)
      }
    }
    switch plan {
    case .groups:
      try convolution2DFilterGroups(try widened(x), try widened(dy), geometry, into: dfilter)
    case .product:
      let product = MatmulGeometry(
        rows: geometry.inChannels, inner: geometry.pixels, columns: geometry.outChannels,
        transposeLeft: true)
      try matmul(x, dy, product, .none, into: dfilter)
    case .winograd(let plan):
      try convolution2DFilterWinograd(
        x, dy, geometry, plan, geometry.winogradExtents(.filterGradient), into: dfilter)
    case .tiles: try convolution2DFilterTiles(x, dy, geometry, into: dfilter)
    case .local(let tile):
      try convolution2DFilterLocal(
        try widened(x), try widened(dy), geometry, tile, into: dfilter)
    }
  }

  private func convolution2DGather(
    _ source: NDArray, _ filter: NDArray, _ gather: Convolution2DGather,
    _ extents: Convolution2DWinogradPlan.Extents, _ plan: Convolution2DPlan,
    _ epilogue: Epilogue, into result: NDArray
  ) throws(DeviceError) {
    if result.count == 0 { return }
    switch plan {
    case .groups:
      try narrowing(result) { (result) throws(DeviceError) in
        try convolution2DGroups(
          try widened(source), try widened(filter), gather, epilogue, into: result)
      }
    case .product:
      let pixels = gather.batch * Int(gather.resultExtent.x) * Int(gather.resultExtent.y)
      let product = MatmulGeometry(
        rows: pixels, inner: gather.inner, columns: gather.columns,
        transposeRight: gather.filterColumnStep != 1)
      try matmul(source, filter, product, epilogue, into: result)
    case .winograd(let plan):
      try convolution2DWinograd(source, filter, gather, plan, extents, epilogue, into: result)
    case .tiles:
      if let spread = Convolution2DSpread(gather) {
        explain(
          "convolution2d, few channels: all taps in one product, estimated at "
            + "\(spread.share.fixed(2)) of one tap at a time")
        return try narrowing(result) { (result) throws(DeviceError) in
          try convolution2DSpread(
            try widened(source), try widened(filter), gather, spread, epilogue, into: result)
        }
      }
      try convolution2DTiles(
        try widened(source), try widened(filter), gather, epilogue, into: result)
    case .local(let tile):
      try narrowing(result) { (result) throws(DeviceError) in
        try convolution2DLocal(
          try widened(source), try widened(filter), gather, tile, epilogue, into: result)
      }
    }
  }
}
