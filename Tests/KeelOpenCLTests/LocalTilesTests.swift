import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  /// The kernels for GPUs that multiply tiles in local memory: every tile that Keel comes with,
  /// operands that can be read 16 bytes at a time and others, between sentinels.
  @Suite("Tiles in local memory")
  struct LocalTilesTests {
    /// Large, of fewer lanes along the rows, and narrow. The others would take long to compile
    /// here; `keel parity` runs them with KEEL_DEVICE_CLASS=nvidia and its like.
    private static let tiles = [
      LocalTile(128, 128, lanes: (16, 16), inner: 8), LocalTile(64, 64, lanes: (8, 16), inner: 16),
      LocalTile(32, 64, lanes: (8, 8), inner: 16),
    ].compactMap(\.self)

    private func onGPUKernels(_ body: (OpenCLBackend) throws -> Void) throws {
      try TestDevice.bothClasses { backend in
        if !backend.isCPUClass { try body(backend) }
      }
    }

    /// Runs a subject between sentinels; checks it against sums in double precision.
    private func values(
      _ subject: TuningSubject, _ plan: TunedPlan, terms: Int, _ backend: OpenCLBackend
    ) throws -> [UInt32] {
      let problem = TuningProblem(subject, seed: 3)
      let (values, overrun) = try backend.guarded(problem, backend.run(by: plan))
      #expect(overrun == nil, "\(subject) by \(plan)")
      // Operands are below 1.
      let bound = 0x1p-24 * Double(terms + 2) * Double(terms + 2)
      let expected = problem.reference()
      let wrong = values.indices.filter { !(abs(Double(values[$0]) - expected[$0]) <= bound) }
      #expect(wrong.isEmpty, "\(subject) by \(plan): element \(wrong.first ?? 0)")
      return values.map(\.bitPattern)
    }

    /// Whole quads at the edges of tiles, and extents that are no multiples of four; one part of
    /// the sum and three, of which the last is short.
    @Test(arguments: [(132, 76, 68), (67, 45, 131), (3, 300, 5)])
    func everyTileOfAProductGivesTheSameBits(rows: Int, inner: Int, columns: Int) throws {
      let geometry = MatmulGeometry(rows: rows, inner: inner, columns: columns)
      try onGPUKernels { backend in
        for splits in [1, 3] {
          let results = try Self.tiles.map { tile in
            let plan = try #require(LocalTiles(tile, splits: splits))
            return try values(
              .matmul(geometry), .matmul(.local(plan)), terms: inner, backend)
          }
          #expect(Set(results).count == 1, "\(geometry) in \(splits) parts")
        }
      }
    }

    @Test(arguments: [true, false], [true, false])
    func everyFormReadsQuadsAndElements(left: Bool, right: Bool) throws {
      let extents = [(36, 44, 68), (35, 45, 67), (36, 45, 67), (35, 44, 68), (1, 1, 1), (4, 4, 4)]
      try onGPUKernels { backend in
        let tile = try #require(Self.tiles.last)
        let plan = try #require(LocalTiles(tile, splits: 1))
        for (rows, inner, columns) in extents {
          let geometry = MatmulGeometry(
            batch: 2, rows: rows, inner: inner, columns: columns, transposeLeft: left,
            transposeRight: right)
          _ = try values(.matmul(geometry), .matmul(.local(plan)), terms: inner, backend)
        }
      }
    }

    /// Lines of whole quads, but the second matrix begins between two.
    @Test func matricesBetweenQuads() throws {
      var geometry = MatmulGeometry(batch: 2, rows: 8, inner: 12, columns: 4)
      (geometry.leftBatchStride, geometry.rightBatchStride) = (97, 50)
      let (left, right) = (numbers(193, seed: 1), numbers(98, seed: 2))
      try onGPUKernels { backend in
        let a = try backend.array(left, shape: [193])
        let b = try backend.array(right, shape: [98])
        let c = try backend.allocate([2, 8, 4], .float32)
        try backend.matmul(a, b, geometry, .none, into: c)
        let result = try backend.floats(c)
        for (matrix, row, column) in [(0, 0, 0), (0, 7, 3), (1, 0, 0), (1, 3, 2), (1, 7, 3)] {
          var sum = 0.0
          for k in 0..<12 {
            let (x, y) = (left[matrix * 97 + row * 12 + k], right[matrix * 50 + k * 4 + column])
            sum += Double(x) * Double(y)
          }
          let value = Double(result[(matrix * 8 + row) * 4 + column])
          #expect(abs(value - sum) < 1e-4)
        }
      }
    }

    /// Channels in whole quads, odd ones, groups of each; steps and taps that leave the image.
    @Test(arguments: [(8, 12, 1, 1), (6, 5, 1, 2), (8, 8, 2, 1), (6, 6, 2, 2), (40, 4, 1, 2)])
    func everyTileOfAConvolutionGivesTheSameBits(
      inChannels: Int, outChannels: Int, groups: Int, stride: Int
    ) throws {
      let geometry = Convolution2DGeometry(
        batch: 2, height: 5, width: 7, inChannels: inChannels, outChannels: outChannels,
        kernel: (3, 3), stride: (stride, stride), padding: (1, 1, 1, 1), groups: groups)
      // Another tile for one of the forms.
      let tiles = Self.tiles.suffix(inChannels == 8 && groups == 1 ? 2 : 1)
      try onGPUKernels { backend in
        for direction in Convolution2DDirection.allCases {
          let subject = TuningSubject.convolution2D(geometry, direction)
          let results = try tiles.map { tile in
            try values(
              subject, .convolution2D(.local(tile)), terms: 9 * max(inChannels, outChannels),
              backend)
          }
          #expect(Set(results).count == 1, "\(subject)")
        }
      }
    }

    /// Few pixels with many channels: their sums are shared among groups.
    @Test func aDeepConvolutionIsSplit() throws {
      let geometry = Convolution2DGeometry(
        batch: 1, height: 2, width: 3, inChannels: 72, outChannels: 68, kernel: (3, 3),
        padding: (1, 1, 1, 1))
      try onGPUKernels { backend in
        for direction in Convolution2DDirection.allCases {
          let subject = TuningSubject.convolution2D(geometry, direction)
          _ = try values(subject, .convolution2D(.local(Self.tiles.last)), terms: 9 * 72, backend)
        }
      }
    }
  }
}

/// What GPUs start with before anybody has tuned them.
@Suite(.enabled(if: TestDevice.isUsable)) struct GPUFamilyTests {
  @Test func driversNameTheirMaker() {
    let vendors: [(String, GPUFamily)] = [
      ("NVIDIA Corporation", .nvidia), ("Advanced Micro Devices, Inc.", .amd), ("AMD", .amd),
      ("Intel(R) Corporation", .intel), ("Apple", .other), ("Streamdam Ltd", .other), ("", .other),
    ]
    for (vendor, family) in vendors { #expect(GPUFamily(vendor: vendor) == family, "\(vendor)") }
  }

  private func limits(_ family: GPUFamily, units: Int = 100) throws -> OpenCLLimits {
    var limits = try #require(TestDevice.entry).limits
    (limits.family, limits.computeUnits, limits.maximumGroup) = (family, units, 1024)
    limits.localBytes = 48 << 10
    return limits
  }

  private func plan(
    _ rows: Int, _ columns: Int, inner: Int = 512, _ limits: OpenCLLimits
  ) -> LocalTiles {
    LocalTiles(rows: rows, columns: columns, inner: inner, copies: 1, limits: limits)
  }

  @Test func eachMakerHasTilesOfItsOwn() throws {
    func tile(_ family: GPUFamily) throws -> LocalTile {
      plan(4096, 4096, try limits(family)).tile
    }
    let tiles = try GPUFamily.allCases.map(tile)
    #expect(Set(tiles).count == 4)
    #expect(try tile(.nvidia).rows == 128 && tile(.nvidia).columns == 128)
    #expect(try tile(.amd).group % 64 == 0 && tile(.intel).group == 128)
  }

  /// A large tile needs enough of its kind; narrow results take narrow tiles.
  @Test func theTileFollowsTheResult() throws {
    let limits = try limits(.nvidia)
    #expect(plan(4096, 4096, limits).tile.rows == 128)
    #expect(plan(512, 512, limits).tile.columns == 64)
    #expect(plan(512, 512, inner: 128, limits).tile.rows == 32)
    #expect(plan(20, 4096, limits).tile.rows == 32)
    #expect(plan(4096, 10, limits).tile.columns == 32)
    #expect(plan(1, 1, limits).tile.rows * plan(1, 1, limits).tile.columns == 2048)
    var small = limits
    (small.localBytes, small.maximumGroup) = (16 << 10, 64)
    #expect(plan(4096, 4096, small).tile.fits(small))
  }

  /// The order of a sum must not depend on the device.
  @Test func partsDependOnTheExtentsAlone() throws {
    for (rows, columns, inner) in [(64, 64, 8192), (300, 10, 100_000), (4096, 4096, 4096)] {
      let splits = try GPUFamily.allCases.flatMap { family in
        try [1, 16, 200].map {
          plan(rows, columns, inner: inner, try limits(family, units: $0)).splits
        }
      }
      #expect(Set(splits).count == 1)
    }
    #expect(plan(64, 64, inner: 8192, try limits(.amd)).splits == 64)
    #expect(plan(4096, 4096, inner: 4096, try limits(.amd)).splits == 1)
  }

  @Test func everyTileCanBeBuilt() throws {
    for tile in GPUFamily.allCases.flatMap(\.tiles) {
      let rebuilt = LocalTile(
        tile.rows, tile.columns, lanes: (tile.laneRows, tile.laneColumns), inner: tile.inner)
      #expect(rebuilt == tile)
      #expect(tile.localBytes <= 32 << 10, "\(tile)")
    }
    #expect(LocalTile(48, 64, lanes: (8, 8), inner: 16) == nil)
    #expect(LocalTile(128, 128, lanes: (8, 8), inner: 16) == nil)
  }
}
