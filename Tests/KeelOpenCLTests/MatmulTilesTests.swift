import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  /// Products whose inner axis is cut into parts, against the same in one part.
  @Suite("Register tiles of matrix products")
  struct MatmulTilesTests {
    private static let forms: [MatmulGeometry] = [
      MatmulGeometry(rows: 16, inner: 40, columns: 32, transposeLeft: true),
      MatmulGeometry(batch: 3, rows: 9, inner: 31, columns: 33, transposeLeft: true),
      MatmulGeometry(batch: 2, rows: 5, inner: 17, columns: 7),
      MatmulGeometry(rows: 24, inner: 29, columns: 48, transposeRight: true),
      MatmulGeometry(
        batch: 2, rows: 11, inner: 23, columns: 140, transposeLeft: true, transposeRight: true),
    ]

    @Test(arguments: forms, [2, 7])
    func partsOfTheInnerAxisAddUp(geometry g: MatmulGeometry, parts: Int) throws {
      let count = g.batch * g.rows * g.columns
      let left = numbers(g.batch * g.rows * g.inner, seed: 1)
      let right = numbers(g.batch * g.inner * g.columns, seed: 2)
      let terms =
        Float(g.inner) * (left.map(abs).max() ?? 0) * (right.map(abs).max() ?? 0)
      try TestDevice.bothClasses { backend in
        let a = try backend.array(left, shape: [left.count])
        let b = try backend.array(right, shape: [right.count])
        let bias = try backend.array(numbers(g.columns, seed: 3), shape: [g.columns])
        /// With an epilogue, or added to what is there, its products a few elements apart.
        func run(_ parts: Int, accumulates: Bool) throws -> [Float] {
          let step = g.rows * g.columns + 5
          let c = try backend.array(numbers(g.batch * step, seed: 4), shape: [g.batch * step])
          let epilogue = accumulates ? Epilogue.none : Epilogue(bias: bias, activation: .tanh)
          try backend.matmulTiles(
            a, b, g, MatmulTiles(g, parts: parts), epilogue,
            into: MatmulResult(array: c, batchStride: step, accumulates: accumulates))
          return try backend.floats(c)
        }
        for accumulates in [false, true] {
          let whole = try run(1, accumulates: accumulates)
          let parted = try run(parts, accumulates: accumulates)
          // In units of u * the largest sum of |terms|: the two trees, and the epilogue.
          let bound = 0x1p-24 * (2 * Float(g.inner) * terms + 4)
          let wrong = whole.indices.filter { !(abs(whole[$0] - parted[$0]) <= bound) }
          #expect(wrong.isEmpty, "element \(wrong.first ?? 0) of \(count)")
          let again = try run(parts, accumulates: accumulates)
          #expect(again.map(\.bitPattern) == parted.map(\.bitPattern))
        }
      }
    }

    @Test func aNaNReachesItsRow() throws {
      let g = MatmulGeometry(rows: 16, inner: 64, columns: 32, transposeLeft: true)
      var left = numbers(64 * 16, seed: 1)
      left[50 * 16 + 3] = .nan
      try TestDevice.bothClasses { backend in
        let a = try backend.array(left, shape: [64, 16])
        let b = try backend.array(numbers(64 * 32, seed: 2), shape: [64, 32])
        let c = try backend.allocate([16, 32], .float32)
        try backend.matmulTiles(
          a, b, g, MatmulTiles(g, parts: 4), .none,
          into: MatmulResult(array: c, batchStride: 0))
        let result = try backend.floats(c)
        #expect(result[(3 * 32)..<(4 * 32)].allSatisfy { $0.isNaN })
        #expect(result[0].isFinite)
      }
    }

    /// Whatever the plan: parts in blocks, many rows, plain tiles.
    @Test(arguments: [
      MatmulGeometry(rows: 30, inner: 1100, columns: 50, transposeLeft: true),
      MatmulGeometry(rows: 1030, inner: 20, columns: 50),
      MatmulGeometry(rows: 40, inner: 20, columns: 50),
    ])
    func productsAreAddedToWhatIsThere(geometry g: MatmulGeometry) throws {
      try TestDevice.bothClasses { backend in
        let a = try backend.array(numbers(g.rows * g.inner, seed: 1), shape: [g.rows, g.inner])
        let b = try backend.array(
          numbers(g.inner * g.columns, seed: 2), shape: [g.inner, g.columns])
        let before = numbers(g.rows * g.columns, seed: 3)
        func run(accumulates: Bool) throws -> [Float] {
          let c = try backend.array(before, shape: [g.rows, g.columns])
          try backend.matmul(
            a, b, g,
            into: MatmulResult(array: c, batchStride: before.count, accumulates: accumulates))
          return try backend.floats(c)
        }
        let product = try run(accumulates: false)
        let sum = try run(accumulates: true)
        #expect(sum.map(\.bitPattern) == zip(product, before).map { ($0 + $1).bitPattern })
      }
    }

    @Test func theFormOfAProductDecidesItsKernel() throws {
      try TestDevice.bothClasses { backend in
        let limits = backend.limits
        func plan(_ rows: Int, _ inner: Int, _ columns: Int, transposeLeft: Bool) -> MatmulPlan {
          MatmulPlan(
            MatmulGeometry(
              rows: rows, inner: inner, columns: columns, transposeLeft: transposeLeft),
            isCPUClass: true, limits: limits)
        }
        #expect(
          plan(28, 3584, 512, transposeLeft: true)
            == .blocks(MatmulBlocks(rows: 7, vectors: 2, parts: 14)))
        #expect(
          plan(128, 3584, 512, transposeLeft: true)
            == .blocks(MatmulBlocks(rows: 8, vectors: 2, parts: 8)))
        #expect(
          plan(96, 32768, 48, transposeLeft: true)
            == .blocks(MatmulBlocks(rows: 8, vectors: 3, parts: 16)))
        #expect(plan(32768, 48, 84, transposeLeft: false) == .rows)
        for (rows, inner, columns) in [(64, 784, 128), (4096, 1024, 1024), (1000, 64, 64)] {
          guard case .tiles = plan(rows, inner, columns, transposeLeft: false) else {
            Issue.record("\(rows) x \(inner) x \(columns) is not computed by tiles")
            continue
          }
        }
      }
    }

    /// Long left operands are fetched ahead where neighbouring tiles share them.
    @Test func fetchingAheadChangesNoBit() throws {
      let g = MatmulGeometry(rows: 136, inner: 2050, columns: 20, transposeLeft: true)
      try TestDevice.bothClasses { backend in
        let a = try backend.array(numbers(g.rows * g.inner, seed: 1), shape: [g.rows, g.inner])
        let b = try backend.array(
          numbers(g.inner * g.columns, seed: 2), shape: [g.inner, g.columns])
        func run(columnsFirst: Bool) throws -> [UInt32] {
          let c = try backend.allocate([g.rows, g.columns], .float32)
          let plan = MatmulTiles(
            rows: 8, vectors: 2, packsLeft: false, packsRight: false, parts: 3,
            columnsFirst: columnsFirst)
          try backend.matmul(a, b, g, .none, into: c, by: .tiles(plan))
          return try backend.floats(c).map(\.bitPattern)
        }
        #expect(try run(columnsFirst: true) == run(columnsFirst: false))
      }
    }

    @Test func thePlanFollowsTheExtents() {
      func plan(_ rows: Int, _ inner: Int, _ columns: Int, transposeLeft: Bool) -> MatmulTiles {
        MatmulTiles(
          MatmulGeometry(rows: rows, inner: inner, columns: columns, transposeLeft: transposeLeft))
      }
      let long = plan(256, 12544, 64, transposeLeft: true)
      #expect(long.splits > 8 && long.columnsFirst)
      #expect(long.splits * long.slice >= 12544 && (long.splits - 1) * long.slice < 12544)
      #expect(plan(12544, 256, 64, transposeLeft: false).splits == 1)
      #expect(plan(1024, 1024, 1024, transposeLeft: true).splits == 1)
      #expect(plan(1024, 1024, 1024, transposeLeft: true).packsLeft)
      #expect(!plan(1024, 1024, 1024, transposeLeft: true).columnsFirst)
      #expect(plan(512, 512, 512, transposeLeft: true).splits == 1)
      #expect(
        [1, 16, 17, 33, 48, 49, 64, 80, 129].map {
          plan(2048, 64, $0, transposeLeft: false).vectors
        }
          == [1, 1, 2, 3, 3, 2, 2, 2, 3])
      // A small product is not worth a program of its own.
      #expect(plan(32, 128, 10, transposeLeft: false).vectors == 2)
      let wide = Convolution2DGeometry(
        batch: 2, height: 4, width: 4, inChannels: 3, outChannels: 5, kernel: (1, 1))
      for isCPUClass in [true, false] {
        for direction in Convolution2DDirection.allCases {
          #expect(Convolution2DPlan(wide, direction, isCPUClass: isCPUClass) == .product)
        }
      }
      var padded = wide
      padded.padRight = 1
      #expect(Convolution2DPlan(padded, .forward, isCPUClass: true) == .tiles)
    }
  }
}
