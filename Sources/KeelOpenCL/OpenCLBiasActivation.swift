package import KeelBackend

extension OpenCLBackend: BiasActivationBackend {
  package func biasActivationGradient(
    output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError) {
    if y.count == 0 {
      if let db { try fill(db, with: 0) }
      return
    }
    if activation == .identity { return try copyGradient(dy, into: dz, bias: db) }
    guard let db else {
      guard let dz else { return }
      let width = isCPUClass ? 16 : 4
      let chunk = isCPUClass ? elementChunk(y.count) : width
      let items = ceilDivide(y.count, chunk)
      return try launch(
        "bias_activation_flat", from: .biasActivation,
        options: ["ACTIVATION=\(activation.kernelCode)", "KEEL_WIDTH=\(width)"]
          + y.dtype.halfOptions,
        grid: isCPUClass ? .tiles(items) : .items(items, local: 128), y, dy, dz,
        activation.kernelParameter, UInt64(y.count), UInt64(chunk))
    }
    try sumGradient(y, dy, activation, into: dz, bias: db)
  }

  /// Without an activation dz is dy, and only the bias needs arithmetic.
  private func copyGradient(
    _ dy: NDArray, into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError) {
    if let dz, !dz.isSameMemory(as: dy) {
      let dense = StridedPattern(strides: [1])
      try stridedCopy(dy, dense, into: dz, dense, extents: [dy.count])
    }
    guard let db else { return }
    let pass = ReductionPass(kind: .sum, outer: 1, reduced: dy.count / db.count, inner: db.count)
    if dy.dtype.isHalf {
      // Sums read float32.
      let wide = try scratch(dy.count)
      try convert(dy, into: wide)
      try reduce(wide, pass, divisor: 1, into: db)
    } else {
      try reduce(dy, pass, divisor: 1, into: db)
    }
  }

  private func sumGradient(
    _ y: NDArray, _ dy: NDArray, _ activation: Activation, into dz: NDArray?, bias db: NDArray
  ) throws(DeviceError) {
    let sums = try sumParts(y, dy, activation, into: dz, bias: db)
    if let sums { try finish(sums) }
  }

  /// Sums parts of the bias' gradient; nil where there was one part, and it is in `db`.
  func sumParts(
    _ y: NDArray, _ dy: NDArray, _ activation: Activation, into dz: NDArray?, bias db: NDArray
  ) throws(DeviceError) -> BiasSums? {
    let isCPUClass = isCPUClass
    // So few numbers that one work-item is done before a second launch would have started.
    let isSmall = isCPUClass && y.count <= 1 << 14
    let fold =
      isSmall
      ? 1
      : ReductionPass.fold(
        reduced: y.count / db.count, inner: db.count, toReach: isCPUClass ? 16 : 32)
    let columns = db.count * fold
    let rows = y.count / columns
    let width = isCPUClass && columns >= 16 ? 16 : 1
    let group = isCPUClass ? 1 : 256
    // MOST vectors of the kernel, or the lanes that share a block.
    let blocks = ceilDivide(columns, isCPUClass ? 64 * width : 32)
    let wanted =
      isSmall ? 1 : min(ceilDivide(rows, 32), ceilDivide(limits.computeUnits * 8, blocks))
    let partRows = ceilDivide(rows, wanted)
    let parts = ceilDivide(rows, partRows)
    let isWhole = parts * fold == 1
    let sums = isWhole ? db : try scratch(parts * columns)
    try launch(
      isCPUClass ? "bias_activation_columns" : "bias_activation_columns_team",
      from: .biasActivation,
      options: [
        "ACTIVATION=\(activation.kernelCode)", "KEEL_WIDTH=\(width)", "KEEL_GROUP=\(group)",
      ] + y.dtype.halfOptions,
      grid: isCPUClass ? .tiles(blocks, parts) : .groups(blocks * parts, of: group), y, dy, dz,
      sums, activation.kernelParameter, UInt32(rows), UInt32(columns), UInt32(partRows))
    return isWhole ? nil : BiasSums(parts: sums, count: parts * fold, into: db)
  }

  /// Adds the parts.
  func finish(_ sums: BiasSums) throws(DeviceError) {
    var rest = ReductionPass(kind: .sum, outer: 1, reduced: sums.count, inner: sums.into.count)
    rest.isSecond = sums.into.count > 1
    try reduce(sums.parts, rest, divisor: 1, into: sums.into)
  }

  /// Elements per work-item of a flat loop on a CPU-class device: enough to hide its start, and
  /// many enough chunks to share among threads. A multiple of 16.
  func elementChunk(_ count: Int) -> Int {
    ceilDivide(max(4096, ceilDivide(count, limits.computeUnits * 8)), 16) * 16
  }
}

/// Parts of a bias' gradient that are still to be added.
struct BiasSums {
  /// count x the bias.
  let parts: NDArray
  let count: Int
  let into: NDArray
}
