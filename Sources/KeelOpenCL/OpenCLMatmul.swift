package import KeelBackend

/// Which kernel computes a matrix product, and how: a function of the extents and the device.
package enum MatmulPlan: Hashable, Sendable {
  case tiles(MatmulTiles)
  /// All columns of a few rows at a time.
  case rows
  case blocks(MatmulBlocks)
  case local(LocalTiles)

  package init(_ geometry: MatmulGeometry, isCPUClass: Bool, limits: OpenCLLimits) {
    if !isCPUClass {
      self = .local(
        LocalTiles(
          rows: geometry.rows, columns: geometry.columns, inner: geometry.inner,
          copies: geometry.batch, limits: limits))
    } else if let blocks = MatmulBlocks(geometry, limits: limits) {
      self = .blocks(blocks)
    } else if MatmulRows.suits(geometry) {
      self = .rows
    } else {
      self = .tiles(MatmulTiles(geometry))
    }
  }
}

/// Where the products of a batch go.
package struct MatmulResult {
  let array: NDArray
  /// Elements from one product to the next.
  let batchStride: Int
  /// Whether the products are added to what is there; without bias and activation.
  let accumulates: Bool

  package init(array: NDArray, batchStride: Int, accumulates: Bool = false) {
    self.array = array
    self.batchStride = batchStride
    self.accumulates = accumulates
  }
}

extension MatmulPlan: CustomStringConvertible {
  package var description: String {
    switch self {
    case .tiles(let plan):
      "register tiles of \(plan.rows) x \(plan.columns), left \(name(plan.packsLeft)), "
        + "right \(name(plan.packsRight)), inner axis in \(plan.splits) part(s)"
    case .rows: "register tiles of 8 rows by all columns (right operand small)"
    case .blocks(let plan):
      "register tiles of \(plan.rows) x \(plan.columns) over blocks of the inner axis, which is in "
        + "\(plan.parts) part(s)"
    case .local(let plan):
      "local tiles of \(plan.tile), inner axis in \(plan.splits) part(s)"
    }
  }

  private func name(_ isPacked: Bool) -> String {
    isPacked ? "packed (strided or read often)" : "in place"
  }
}

extension OpenCLBackend: MatmulBackend {
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    let result = MatmulResult(array: c, batchStride: geometry.rows * geometry.columns)
    try matmul(a, b, geometry, epilogue, into: result)
  }

  /// A product whose results lie apart, or are added to; the geometry's strides say where the
  /// operands lie.
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue = .none,
    into result: MatmulResult
  ) throws(DeviceError) {
    if geometry.batch * geometry.rows * geometry.columns == 0 { return }
    try matmul(a, b, geometry, epilogue, into: result, by: plan(geometry))
  }

  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, into c: NDArray,
    columnSums: NDArray
  ) throws(DeviceError) {
    if c.count > 0, c.dtype == .float32, b.dtype == .float32, geometry.batch == 1,
      !geometry.transposeRight, sumsInOneChain(geometry),
      case .tiles(let tiles) = plan(geometry)
    {
      let tiles = tiles.fitted(to: geometry)
      if tiles.splits == 1 {
        let result = MatmulResult(array: c, batchStride: c.count)
        return try matmulTiles(
          a, b, geometry, tiles, .none, into: result, columnSums: columnSums)
      }
    }
    try matmul(a, b, geometry, .none, into: c)
    try reduce(
      .sum, b.reshaped([geometry.inner, geometry.columns]), axes: [0], into: columnSums)
  }

  /// Whether the sums of the right operand's columns are the same bits as those of a reduction: a
  /// wrapper takes this operation apart, and must not change a training.
  private func sumsInOneChain(_ geometry: MatmulGeometry) -> Bool {
    guard isCPUClass, geometry.columns > 1 else { return false }
    let pass = ReductionPass(
      kind: .sum, outer: 1, reduced: geometry.inner, inner: geometry.columns)
    let plan = ReductionColumnsPlan(pass, isCPUClass: true, units: limits.computeUnits)
    return plan.fold == 1 && plan.parts == 1
  }

  private func plan(_ geometry: MatmulGeometry) -> MatmulPlan {
    let isCPUClass = self.isCPUClass
    let tuned = tuning.matmul(geometry, isCPUClass: isCPUClass, limits: limits)
    let plan = tuned ?? MatmulPlan(geometry, isCPUClass: isCPUClass, limits: limits)
    explain("matmul \(geometry): \(plan)" + (tuned == nil ? "" : ", tuned"))
    return plan
  }

  /// The same by the kernels of a given plan, which must be able to compute the geometry.
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray, by plan: MatmulPlan
  ) throws(DeviceError) {
    let result = MatmulResult(array: c, batchStride: geometry.rows * geometry.columns)
    try matmul(a, b, geometry, epilogue, into: result, by: plan)
  }

  private func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into result: MatmulResult, by plan: MatmulPlan
  ) throws(DeviceError) {
    if geometry.batch * geometry.rows * geometry.columns == 0 { return }
    if result.array.dtype.isHalf {
      return try narrowing(result.array) { (wide) throws(DeviceError) in
        let result = MatmulResult(array: wide, batchStride: result.batchStride)
        try matmul(a, b, geometry, epilogue, into: result, by: plan)
      }
    }
    switch plan {
    case .tiles(let plan):
      try matmulTiles(a, b, geometry, plan.fitted(to: geometry), epilogue, into: result)
    case .rows where result.accumulates:
      try matmulTiles(a, b, geometry, MatmulTiles(geometry), epilogue, into: result)
    case .rows:
      try matmulRows(a, b, geometry, epilogue, into: result.array)
    case .blocks(let plan):
      try matmulBlocks(a, b, geometry, plan, epilogue, into: result)
    case .local(let plan):
      try matmulLocal(
        try widened(a), try widened(b), geometry, plan, epilogue, into: result)
    }
  }
}
