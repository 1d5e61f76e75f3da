import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  /// Products of operands rounded to tf32, with the tensor cores' instructions played by the
  /// work-items.
  @Suite("Tensor cores, played")
  struct TensorCoreTests {
    /// To the nearest number with ten bits behind the point, ties away from zero.
    private static func rounded(_ x: Float) -> Float {
      x.isFinite ? Float(bitPattern: (x.bitPattern &+ 0x1000) & 0xFFFF_E000) : x
    }

    /// Runs `body` with the kernels for GPUs and the played instructions.
    private func playing(_ body: (OpenCLBackend) throws -> Void) throws {
      try TestDevice.bothClasses { backend in
        if backend.isCPUClass { return }
        backend.setTileProduct(.tensorCoresPlayed)
        defer { backend.setTileProduct(.multiplyAdd) }
        try body(backend)
      }
    }

    private func product(
      _ backend: OpenCLBackend, _ left: [Float], _ right: [Float], _ geometry: MatmulGeometry,
      tile: LocalTile?
    ) throws -> [Float] {
      let plan = try #require(LocalTiles(tile, splits: 2))
      let a = try backend.array(left, shape: [geometry.rows, geometry.inner])
      let b = try backend.array(right, shape: [geometry.inner, geometry.columns])
      let c = try backend.allocate([geometry.rows, geometry.columns], .float32)
      try backend.matmul(a, b, geometry, .none, into: c, by: .local(plan))
      return try backend.floats(c)
    }

    /// Every element sits where the instructions put it, and is a sum of rounded operands: the same
    /// as fused multiply-adds give for operands that were rounded before.
    @Test(arguments: [
      LocalTile(128, 128, lanes: (16, 16), inner: 8), LocalTile(64, 32, lanes: (8, 8), inner: 32),
    ])
    func multiplyRoundedOperands(tile: LocalTile?) throws {
      let geometry = MatmulGeometry(rows: 131, inner: 77, columns: 139)
      let left = numbers(131 * 77, seed: 1)
      let right = numbers(77 * 139, seed: 2)
      try playing { backend in
        let played = try product(backend, left, right, geometry, tile: tile)
        backend.setTileProduct(.multiplyAdd)
        let exact = try product(
          backend, left.map(Self.rounded), right.map(Self.rounded), geometry, tile: tile)
        let unrounded = try product(backend, left, right, geometry, tile: tile)
        #expect(played == exact)
        #expect(played != unrounded)
      }
    }

    private static let tile = LocalTile(64, 32, lanes: (8, 8), inner: 32)

    @Test func numbersThatAreNotFiniteStay() throws {
      let geometry = MatmulGeometry(rows: 5, inner: 9, columns: 3)
      var left = [Float](repeating: 1, count: 45)
      left[9] = .nan
      left[18] = .infinity
      try playing { backend in
        let ones = [Float](repeating: 1, count: 27)
        let c = try product(backend, left, ones, geometry, tile: Self.tile)
        #expect(c[0..<3].allSatisfy { $0 == 9 })
        #expect(c[3..<6].allSatisfy { $0.isNaN })
        #expect(c[6..<9].allSatisfy { $0 == .infinity })
      }
    }

    /// Winograd's transforms would multiply the rounding errors.
    @Test func convolutionsAreDirect() throws {
      let geometry = Convolution2DGeometry(
        batch: 64, height: 16, width: 16, inChannels: 256, outChannels: 256, kernel: (3, 3),
        padding: (1, 1, 1, 1))
      for direction in Convolution2DDirection.allCases {
        let exact = Convolution2DPlan(geometry, direction, isCPUClass: false)
        guard case .winograd = exact else {
          Issue.record("\(direction) is not Winograd's with float32 either")
          continue
        }
        let rounded = Convolution2DPlan(
          geometry, direction, isCPUClass: false, precision: .tensorFloat32)
        #expect(rounded == .local(nil))
      }
    }

    @Test func otherDevicesRefuse() throws {
      let backend = try TestDevice.open()
      try #require(!backend.limits.hasTensorCores, "this device has tensor cores")
      do {
        try backend.setProductPrecision(.tensorFloat32)
        Issue.record("tf32 was taken")
      } catch {
        #expect("\(error)".contains("is no NVIDIA GPU"))
      }
      #expect(backend.productPrecision == .float32)
      try backend.setProductPrecision(.float32)
    }
  }
}
