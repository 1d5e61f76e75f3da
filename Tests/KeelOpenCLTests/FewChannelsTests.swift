import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  /// Which kernels convolutions with few channels on one side take on CPU-class devices; the cases
  /// check what they compute.
  @Suite("Convolutions of few channels")
  struct FewChannelsTests {
    private func geometry(
      _ inChannels: Int, _ outChannels: Int, stride: Int = 1, width: Int = 8
    ) -> Convolution2DGeometry {
      Convolution2DGeometry(
        batch: 2, height: 8, width: width, inChannels: inChannels,
        outChannels: outChannels, kernel: (3, 3), stride: (stride, stride),
        padding: (1, 1, 1, 1))
    }

    private func kernels(
      _ backend: OpenCLBackend, _ g: Convolution2DGeometry,
      _ direction: Convolution2DDirection
    ) throws -> (functions: [String], choices: [String]) {
      let x = try backend.array(numbers(g.inputShape.count, seed: 1), shape: g.inputShape)
      let filter = try backend.array(numbers(g.filterShape.count, seed: 2), shape: g.filterShape)
      let y = try backend.array(numbers(g.outputShape.count, seed: 3), shape: g.outputShape)
      let trace = try backend.traced {
        switch direction {
        case .forward:
          try backend.convolution2D(x, filter: filter, g, .none, into: y, by: .tiles)
        case .inputGradient:
          try backend.convolution2DInputGradient(
            upstream: y, filter: filter, g, into: x, by: .tiles)
        case .filterGradient:
          try backend.convolution2DFilterGradient(x, upstream: y, g, into: filter, by: .tiles)
        }
      }
      return (trace.launches.map(\.function), trace.choices)
    }

    @Test func resultsOfFewChannelsTakeAllTapsAtOnce() throws {
      try TestDevice.bothClasses { backend in
        guard backend.isCPUClass else { return }
        let forward = try kernels(backend, geometry(48, 12), .forward)
        #expect(forward.functions == ["convolution2d_spread_pack", "convolution2d_spread"])
        #expect(forward.choices.contains { $0.contains("all taps in one product") })
        let back = try kernels(backend, geometry(1, 32), .inputGradient)
        #expect(back.functions.contains("convolution2d_spread"))
        // Full vectors, steps of two, rows too long for a cache.
        for other in [geometry(48, 48), geometry(48, 12, stride: 2), geometry(48, 12, width: 400)] {
          let functions = try kernels(backend, other, .forward).functions
          #expect(functions.contains("convolution2d_tiles"), "\(other)")
        }
      }
    }

    @Test func filterGradientsOfFewChannelsExchangeTheirParts() throws {
      try TestDevice.bothClasses { backend in
        guard backend.isCPUClass else { return }
        let few = try kernels(backend, geometry(48, 12), .filterGradient)
        #expect(few.choices.contains { $0.contains("the input's channels in the vectors") })
        #expect(few.functions.first == "convolution2d_filter_tiles")
        // No border in memory where a tile's rows are of one tap.
        let full = try kernels(backend, geometry(16, 32), .filterGradient)
        #expect(full.functions == ["convolution2d_filter_tiles", "convolution2d_filter_sum"])
        #expect(full.choices.isEmpty)
      }
    }
  }
}
