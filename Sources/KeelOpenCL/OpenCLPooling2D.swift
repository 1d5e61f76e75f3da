package import KeelBackend

extension OpenCLBackend: Pooling2DBackend {
  package func maxPooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray, indices: NDArray
  ) throws(DeviceError) {
    let plan = Pooling2DPlan(geometry, x.dtype, isCPUClass: isCPUClass)
    try launch(
      "pooling2d_max", from: .pooling2D, options: plan.options, grid: plan.outputGrid, x, y,
      indices, plan.extents, plan.more)
  }

  package func maxPooling2DGradient(
    upstream dy: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    let plan = Pooling2DPlan(geometry, dy.dtype, isCPUClass: isCPUClass)
    let isApart =
      geometry.strideHeight >= geometry.windowHeight
      && geometry.strideWidth >= geometry.windowWidth
    if isCPUClass && isApart {
      try launch(
        "pooling2d_max_gradient_apart", from: .pooling2D, options: plan.options,
        grid: .tiles(geometry.batch * geometry.outHeight), dy, indices, dx, plan.extents,
        plan.more)
    } else {
      try launch(
        "pooling2d_max_gradient", from: .pooling2D, options: plan.options,
        grid: plan.inputGrid, dy, indices, dx, plan.extents, plan.more)
    }
  }

  package func averagePooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray
  ) throws(DeviceError) {
    let plan = Pooling2DPlan(geometry, x.dtype, isCPUClass: isCPUClass)
    try launch(
      "pooling2d_average", from: .pooling2D, options: plan.options, grid: plan.outputGrid, x, y,
      plan.extents, plan.more)
  }

  package func averagePooling2DGradient(
    upstream dy: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    let plan = Pooling2DPlan(geometry, dy.dtype, isCPUClass: isCPUClass)
    try launch(
      "pooling2d_average_gradient", from: .pooling2D, options: plan.options,
      grid: plan.inputGrid, dy, dx, plan.extents, plan.more)
  }
}

/// How the pooling kernels walk: cells of `width` channels, a work-item per row of pixels on
/// CPU-class devices, one per cell on GPUs.
private struct Pooling2DPlan {
  let geometry: Pooling2DGeometry
  let isCPUClass: Bool
  let width: Int
  let dtype: DType

  init(_ geometry: Pooling2DGeometry, _ dtype: DType, isCPUClass: Bool) {
    self.geometry = geometry
    self.dtype = dtype
    self.isCPUClass = isCPUClass
    let channels = geometry.channels
    // Few widths: each is a program of its own.
    let widest = isCPUClass ? 16 : 4
    if channels >= widest && (isCPUClass || channels % widest == 0) {
      width = widest
    } else {
      width = isCPUClass && channels >= 4 ? 4 : 1
    }
  }

  var options: [String] { ["KEEL_WIDTH=\(width)"] + dtype.halfOptions }
  var outputGrid: Grid { grid(geometry.outWidth, geometry.batch * geometry.outHeight) }
  var inputGrid: Grid { grid(geometry.width, geometry.batch * geometry.height) }

  private func grid(_ pixels: Int, _ rows: Int) -> Grid {
    let cells = pixels * ceilDivide(geometry.channels, width)
    if isCPUClass { return .tiles(min(1, cells), rows) }
    // Groups of 64 also for a row of one cell: the kernel takes a single item for a CPU's walk.
    return .items(cells, rows, local: (64, 1))
  }

  /// `geometry` of `pooling2d.cl`, in its order.
  var extents: SIMD8<UInt32> {
    SIMD8(
      UInt32(geometry.height), UInt32(geometry.width), UInt32(geometry.channels),
      UInt32(geometry.outHeight), UInt32(geometry.outWidth), UInt32(geometry.windowHeight),
      UInt32(geometry.windowWidth), UInt32(geometry.strideHeight))
  }
  var more: SIMD4<UInt32> {
    SIMD4(UInt32(geometry.strideWidth), UInt32(geometry.padTop), UInt32(geometry.padLeft), 0)
  }
}
