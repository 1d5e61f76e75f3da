import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  /// Winograd's filtering against the direct kernels of the same device.
  @Suite("Winograd convolutions on both classes of device")
  struct WinogradTests {
    struct Form: Sendable, CustomTestStringConvertible {
      var batch = 2
      var extent: (height: Int, width: Int)
      var channels: (Int, Int)
      var padding: (top: Int, left: Int, bottom: Int, right: Int) = (1, 1, 1, 1)
      var activation = Activation.identity

      var geometry: Convolution2DGeometry {
        Convolution2DGeometry(
          batch: batch, height: extent.height, width: extent.width, inChannels: channels.0,
          outChannels: channels.1, kernel: (3, 3), padding: padding)
      }
      var testDescription: String {
        "\(batch)x\(extent.height)x\(extent.width), \(channels.0) to \(channels.1) channels, "
          + "padding \(padding)"
      }
    }

    private static let forms: [Form] = [
      Form(extent: (8, 8), channels: (16, 32)),
      Form(extent: (5, 7), channels: (16, 16), activation: .relu),
      Form(extent: (9, 6), channels: (12, 4), padding: (0, 0, 0, 0), activation: .tanh),
      Form(extent: (7, 10), channels: (4, 48), padding: (2, 0, 1, 2)),
      Form(batch: 5, extent: (1, 1), channels: (32, 16)),
      Form(batch: 1, extent: (2, 13), channels: (64, 36), activation: .leakyRelu(slope: 0.1)),
      Form(extent: (4, 4), channels: (16, 16), padding: (3, 4, 2, 3)),
    ]

    /// Several blocks for each work-item, and results that are stored past the caches.
    private static let large = Form(batch: 4, extent: (128, 130), channels: (16, 16))

    /// Slices of eight tiles, so that sums go over several.
    @Test(arguments: [2, 4], forms)
    func equalTheDirectKernels(tileOut: Int, form: Form) throws {
      let g = form.geometry
      let winograd = Convolution2DPlan.winograd(
        Convolution2DWinogradPlan(tileOut: tileOut, slice: 8))
      try TestDevice.bothClasses { backend in
        let direct: Convolution2DPlan = backend.isCPUClass ? .tiles : .local(nil)
        let x = numbers(g.inputShape.count, seed: 1)
        let filter = numbers(g.filterShape.count, seed: 2)
        let dy = numbers(g.outputShape.count, seed: 3)
        let bias = try backend.array(numbers(g.outChannels, seed: 4), shape: [g.outChannels])
        /// One direction by one plan, of the operands or of their magnitudes.
        func run(
          _ direction: Convolution2DDirection, _ plan: Convolution2DPlan, magnitudes: Bool = false
        ) throws -> [Float] {
          func array(_ values: [Float], _ shape: Shape) throws -> NDArray {
            try backend.array(magnitudes ? values.map(abs) : values, shape: shape)
          }
          let w = try array(filter, g.filterShape)
          switch direction {
          case .forward:
            let y = try backend.allocate(g.outputShape, .float32)
            let epilogue =
              magnitudes ? Epilogue.none : Epilogue(bias: bias, activation: form.activation)
            try backend.convolution2D(
              array(x, g.inputShape), filter: w, g, epilogue, into: y, by: plan)
            return try backend.floats(y)
          case .inputGradient:
            let dx = try backend.allocate(g.inputShape, .float32)
            try backend.convolution2DInputGradient(
              upstream: array(dy, g.outputShape), filter: w, g, into: dx, by: plan)
            return try backend.floats(dx)
          case .filterGradient:
            let dfilter = try backend.allocate(g.filterShape, .float32)
            try backend.convolution2DFilterGradient(
              array(x, g.inputShape), upstream: array(dy, g.outputShape), g, into: dfilter,
              by: plan)
            return try backend.floats(dfilter)
          }
        }
        for direction in Convolution2DDirection.allCases {
          let expected = try run(direction, direct)
          let terms = try run(direction, direct, magnitudes: true)
          let got = try run(direction, winograd)
          // In units of u * the largest sum of |terms|; bias and activation add 4.
          let bound = 0x1p-24 * (26 * (terms.max() ?? 0) + 4)
          let wrong = got.indices.filter { !(abs(got[$0] - expected[$0]) <= bound) }
          let first = wrong.first.map { "\($0): \(got[$0]), expected \(expected[$0])" } ?? ""
          #expect(wrong.count == 0, "\(direction), element \(first)")
          let again = try run(direction, winograd)
          #expect(again.map(\.bitPattern) == got.map(\.bitPattern))
        }
      }
    }

    /// A value that is no number reaches every result that reads it (and the rest of their tiles).
    @Test func aNaNReachesAllThatReadIt() throws {
      let g = Form(batch: 1, extent: (9, 9), channels: (16, 16)).geometry
      var values = numbers(g.inputShape.count, seed: 1)
      values[(4 * 9 + 4) * 16 + 3] = .nan
      try TestDevice.bothClasses { backend in
        let x = try backend.array(values, shape: g.inputShape)
        let w = try backend.array(numbers(g.filterShape.count, seed: 2), shape: g.filterShape)
        let y = try backend.allocate(g.outputShape, .float32)
        try backend.convolution2D(
          x, filter: w, g, .none, into: y,
          by: .winograd(Convolution2DWinogradPlan(tileOut: 4, slice: 8)))
        let result = try backend.floats(y)
        for row in 3...5 {
          for column in 3...5 {
            let pixel = result[((row * 9 + column) * 16)...].prefix(16)
            #expect(pixel.allSatisfy { $0.isNaN }, "row \(row), column \(column)")
          }
        }
        #expect(result[(8 * 9 + 8) * 16].isFinite)
      }
    }

    /// So many filters that their points are stored past the caches.
    @Test func manyFiltersEqualTheDirectKernels() throws {
      let g = Form(batch: 1, extent: (4, 4), channels: (160, 192)).geometry
      try TestDevice.bothClasses { backend in
        guard backend.isCPUClass else { return }
        let x = try backend.array(numbers(g.inputShape.count, seed: 1), shape: g.inputShape)
        let dy = try backend.array(numbers(g.outputShape.count, seed: 3), shape: g.outputShape)
        let w = try backend.array(numbers(g.filterShape.count, seed: 2), shape: g.filterShape)
        func results(_ plan: Convolution2DPlan) throws -> [Float] {
          let y = try backend.allocate(g.outputShape, .float32)
          let dx = try backend.allocate(g.inputShape, .float32)
          try backend.convolution2D(x, filter: w, g, .none, into: y, by: plan)
          try backend.convolution2DInputGradient(
            upstream: dy, filter: w, g, into: dx, by: plan)
          return try backend.floats(y) + backend.floats(dx)
        }
        let expected = try results(.tiles)
        // Numbers between -2 and 2: |terms| are 1 on average.
        let bound: Float = 0x1p-24 * 26 * 9 * 192
        for block in [0, 8] {
          let got = try results(
            .winograd(Convolution2DWinogradPlan(tileOut: 4, slice: 8, block: block)))
          let wrong = got.indices.filter { !(abs(got[$0] - expected[$0]) <= bound) }
          #expect(wrong.count == 0, "blocks of \(block), element \(wrong.first ?? 0)")
        }
      }
    }

    /// Blocks that one work-item takes through all stages, some of them with tiles to spare.
    @Test(
      arguments: [2, 4],
      [large] + forms.filter { $0.channels.0 % 16 == 0 && $0.channels.1 % 16 == 0 })
    func blocksEqualTheStagesInEveryBit(tileOut: Int, form: Form) throws {
      let g = form.geometry
      try TestDevice.bothClasses { backend in
        guard backend.isCPUClass else { return }
        let x = try backend.array(numbers(g.inputShape.count, seed: 1), shape: g.inputShape)
        let dy = try backend.array(numbers(g.outputShape.count, seed: 3), shape: g.outputShape)
        let w = try backend.array(numbers(g.filterShape.count, seed: 2), shape: g.filterShape)
        let bias = try backend.array(numbers(g.outChannels, seed: 4), shape: [g.outChannels])
        let epilogue = Epilogue(bias: bias, activation: form.activation)
        func results(block: Int) throws -> [[UInt32]] {
          let plan = Convolution2DPlan.winograd(
            Convolution2DWinogradPlan(tileOut: tileOut, slice: 8, block: block))
          let y = try backend.allocate(g.outputShape, .float32)
          let dx = try backend.allocate(g.inputShape, .float32)
          try backend.convolution2D(x, filter: w, g, epilogue, into: y, by: plan)
          try backend.convolution2DInputGradient(
            upstream: dy, filter: w, g, into: dx, by: plan)
          return [try backend.floats(y), try backend.floats(dx)].map { $0.map(\.bitPattern) }
        }
        let stages = try results(block: 0)
        #expect(try results(block: 8) == stages)
        #expect(try results(block: 16) == stages)
      }
    }

    /// The filter's gradient block by block: the last part has fewer tiles, and so has its last
    /// block.
    @Test(arguments: [2, 4], [(16, 16), (32, 64), (64, 48)])
    func filterGradientInBlocksEqualsTheDirectKernels(tileOut: Int, channels: (Int, Int)) throws {
      let g = Form(batch: 3, extent: (45, 66), channels: channels).geometry
      try TestDevice.bothClasses { backend in
        guard backend.isCPUClass else { return }
        let x = numbers(g.inputShape.count, seed: 1)
        let dy = numbers(g.outputShape.count, seed: 3)
        func gradient(
          _ plan: Convolution2DPlan, magnitudes: Bool = false
        ) throws -> [Float] {
          func array(_ values: [Float], _ shape: Shape) throws -> NDArray {
            try backend.array(magnitudes ? values.map(abs) : values, shape: shape)
          }
          let dfilter = try backend.allocate(g.filterShape, .float32)
          try backend.convolution2DFilterGradient(
            array(x, g.inputShape), upstream: array(dy, g.outputShape), g, into: dfilter, by: plan)
          return try backend.floats(dfilter)
        }
        let expected = try gradient(.tiles)
        let bound = 0x1p-24 * 26 * (try gradient(.tiles, magnitudes: true).max() ?? 0)
        for block in [8, 16, 24] {
          let plan = Convolution2DPlan.winograd(
            Convolution2DWinogradPlan(tileOut: tileOut, slice: 8, block: block))
          let got = try gradient(plan)
          let wrong = got.indices.filter { !(abs(got[$0] - expected[$0]) <= bound) }
          let first = wrong.first.map { "\($0): \(got[$0]), expected \(expected[$0])" } ?? ""
          #expect(wrong.count == 0, "blocks of \(block), element \(first)")
          #expect(try gradient(plan).map(\.bitPattern) == got.map(\.bitPattern))
        }
      }
    }

    /// A part is a whole number of blocks, and what is summed together depends on extents alone.
    @Test func partsCoverAllTiles() {
      let plan = Convolution2DWinogradPlan(tileOut: 4, slice: 8, block: 16)
      for batch in [1, 2, 3, 7, 32, 64] {
        let extents = Form(batch: batch, extent: (61, 64), channels: (16, 16)).geometry
          .winogradExtents(.filterGradient)
        let (part, parts) = (plan.partTiles(extents), plan.parts(extents))
        #expect(part % 16 == 0 && parts <= 16)
        #expect(part * parts >= extents.tileCount(4) && part * (parts - 1) < extents.tileCount(4))
      }
    }

    @Test func thePlannerTakesItWhereItWins() {
      func plan(
        _ extent: Int, _ channels: Int, batch: Int = 32, isCPUClass: Bool = true
      ) -> Convolution2DPlan {
        let form = Form(batch: batch, extent: (extent, extent), channels: (channels, channels))
        return Convolution2DPlan(form.geometry, .forward, isCPUClass: isCPUClass)
      }
      func tileOut(_ plan: Convolution2DPlan) -> Int? {
        if case .winograd(let plan) = plan { plan.tileOut } else { nil }
      }
      #expect(tileOut(plan(56, 64)) == 4)
      #expect(tileOut(plan(4, 512, batch: 64)) == 4)
      #expect(tileOut(plan(2, 512, batch: 64)) == 2)
      func block(_ plan: Convolution2DPlan) -> Int? {
        if case .winograd(let plan) = plan { plan.block } else { nil }
      }
      #expect(block(plan(56, 64)) == 24)
      #expect(block(plan(16, 128)) == 16)
      func filterGradientBlock(_ extent: Int, _ channels: Int, batch: Int = 64) -> Int? {
        let form = Form(batch: batch, extent: (extent, extent), channels: (channels, channels))
        return block(Convolution2DPlan(form.geometry, .filterGradient, isCPUClass: true))
      }
      #expect(filterGradientBlock(32, 64) == 16)
      #expect(filterGradientBlock(16, 128) == 16)
      // Too few tiles for a part to each core; sums that fill no cache.
      #expect(filterGradientBlock(32, 64, batch: 4) == 0)
      #expect(filterGradientBlock(16, 256) == 0)
      // The points of so many filters pass through no cache.
      #expect(block(plan(4, 512, batch: 64)) == 0)
      #expect(block(plan(16, 256, batch: 64, isCPUClass: false)) == 0)
      #expect(plan(56, 8) == .tiles)
      #expect(plan(56, 65) == .tiles)
      #expect(tileOut(plan(16, 256, batch: 64, isCPUClass: false)) == 4)
      #expect(plan(56, 16, isCPUClass: false) == .local(nil))
      var strided = Form(extent: (56, 56), channels: (64, 64)).geometry
      strided.strideWidth = 2
      #expect(Convolution2DPlan(strided, .forward, isCPUClass: true) == .tiles)
    }
  }
}
