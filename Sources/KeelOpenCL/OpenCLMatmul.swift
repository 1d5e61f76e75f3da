package import KeelBackend

/// Which kernel computes a matrix product, and how: a function of the extents and the device.
package enum MatmulPlan: Hashable, Sendable {
  case tiles(MatmulTiles)
  case local(LocalTiles)

  package init(_ geometry: MatmulGeometry, isCPUClass: Bool, limits: OpenCLLimits) {
    self =
      isCPUClass
      ? .tiles(MatmulTiles(geometry))
      : .local(
        LocalTiles(
          rows: geometry.rows, columns: geometry.columns, inner: geometry.inner,
          copies: geometry.batch, limits: limits))
  }
}

extension OpenCLBackend: MatmulBackend {
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    if c.count == 0 { return }
    switch MatmulPlan(geometry, isCPUClass: isCPUClass, limits: limits) {
    case .tiles(let plan): try matmulTiles(a, b, geometry, plan, epilogue, into: c)
    case .local(let plan): try matmulLocal(a, b, geometry, plan, epilogue, into: c)
    }
  }
}
