package import KeelBackend

/// How the GPU-class kernels multiply tiles in local memory (`prelude_tiles.cl`).
package enum TileProduct: Int, Sendable {
  case multiplyAdd
  /// NVIDIA's tensor cores, by instructions that other compilers do not know.
  case tensorCores
  /// The same program on any device: work-items play the instructions, slowly. For tests.
  case tensorCoresPlayed
}

extension OpenCLBackend {
  package var productPrecision: ProductPrecision {
    tileProduct == .multiplyAdd || isCPUClass ? .float32 : .tensorFloat32
  }

  /// How tiles are multiplied from now on.
  package var tileProduct: TileProduct {
    lock.lock()
    defer { lock.unlock() }
    return product
  }

  /// Sets what ``tileProduct`` reports.
  package func setTileProduct(_ product: TileProduct) {
    lock.lock()
    defer { lock.unlock() }
    self.product = product
  }

  package func setProductPrecision(_ precision: ProductPrecision) throws(DeviceError) {
    guard precision == .tensorFloat32 else { return setTileProduct(.multiplyAdd) }
    guard limits.hasTensorCores, !isCPUClass else {
      throw .unsupported(
        operation: "tf32",
        reason: "\(info.name) is no NVIDIA GPU of compute capability 8.0 or more; leave it out")
    }
    if tileProduct == .tensorCores { return }
    setTileProduct(.tensorCores)
    do {
      try requireTensorCores()
    } catch {
      setTileProduct(.multiplyAdd)
      throw error
    }
  }

  /// Refuses tensor cores whose program the driver does not compile, or whose products are wrong:
  /// the instructions are written for a compiler that the kernels' tests may never have met.
  private func requireTensorCores() throws(DeviceError) {
    let geometry = MatmulGeometry(rows: 70, inner: 45, columns: 90)
    let plan = MatmulPlan.local(
      LocalTiles(rows: 70, columns: 90, inner: 45, copies: 1, limits: limits))
    var random = RandomSequence(RandomKey(seed: 1, .user))
    let left = (0..<70 * 45).map { _ in 2 * random.nextUniform() - 1 }
    let right = (0..<45 * 90).map { _ in 2 * random.nextUniform() - 1 }
    let (a, b) = (try array(left, shape: [70, 45]), try array(right, shape: [45, 90]))
    let c = try allocate([70, 90], .float32)
    do {
      try matmul(a, b, geometry, .none, into: c, by: plan)
    } catch .buildFailed(_, let log) {
      throw .unsupported(
        operation: "tf32", reason: "the driver does not compile its kernels: \(log.prefix(400))")
    }
    let values: [Float] = try scalars(c)
    for row in 0..<70 {
      for column in 0..<90 {
        var (sum, terms) = (0.0, 0.0)
        for k in 0..<45 {
          let term = Double(left[row * 45 + k]) * Double(right[k * 90 + column])
          sum += term
          terms += abs(term)
        }
        // Both operands are rounded by 2^-11; the rest is for the sums.
        guard abs(Double(values[row * 90 + column]) - sum) <= 0x1p-9 * terms else {
          throw .unsupported(
            operation: "tf32", reason: "the driver's tensor cores do not multiply as described")
        }
      }
    }
  }
}
