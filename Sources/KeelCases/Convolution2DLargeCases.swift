internal import KeelAutograd
internal import KeelBackend

/// Convolutions to be timed, in three directions, straight on the contract.
enum Convolution2DLargeCases {
  static let all: [OperationCase] =
    timed("64_64_56x56", batch: 32, extent: 56, 64, to: 64, pad: 1)
    + timed("1_32_28x28", batch: 64, extent: 28, 1, to: 32, pad: 0)
    + timed("128_128_28x28_stride2", batch: 16, extent: 28, 128, to: 128, stride: 2, pad: 1)
    + timed("256_64_28x28_kernel1x1", batch: 16, extent: 28, 256, to: 64, kernel: 1, pad: 0)

  private static func timed(
    _ label: String, batch: Int, extent: Int, _ inChannels: Int, to outChannels: Int,
    kernel: Int = 3, stride: Int = 1, pad: Int
  ) -> [OperationCase] {
    let g = Convolution2DGeometry(
      batch: batch, height: extent, width: extent, inChannels: inChannels,
      outChannels: outChannels, kernel: (kernel, kernel), stride: (stride, stride),
      padding: (pad, pad, pad, pad))
    let elements = g.inputShape.count + g.filterShape.count + g.outputShape.count
    let work = OperationCase.Work(flops: g.flops, bytes: 4 * elements)
    return [
      OperationCase(
        .convolution2D, label, inputs: [CaseInput(g.inputShape), CaseInput(g.filterShape)],
        tolerance: .sum(of: kernel * kernel * inChannels), magnitude: .terms, work: work,
        outputs: { (t) throws(TensorError) in
          try t.direct([g.outputShape]) { (backend, out) throws(DeviceError) in
            try backend.convolution2D(t[0].value, filter: t[1].value, g, .none, into: out[0])
          }
        },
        oracles: { [Convolution2DOracle.forward($0[0], $0[1], g)] }),
      OperationCase(
        .convolution2D, "\(label)_input_gradient",
        inputs: [CaseInput(g.outputShape), CaseInput(g.filterShape)],
        tolerance: .sum(of: kernel * kernel * outChannels), magnitude: .terms, work: work,
        outputs: { (t) throws(TensorError) in
          try t.direct([g.inputShape]) { (backend, out) throws(DeviceError) in
            try backend.convolution2DInputGradient(
              upstream: t[0].value, filter: t[1].value, g, into: out[0])
          }
        },
        oracles: { [Convolution2DOracle.inputGradient($0[0], $0[1], g)] }),
      OperationCase(
        .convolution2D, "\(label)_filter_gradient",
        inputs: [CaseInput(g.inputShape), CaseInput(g.outputShape)],
        tolerance: .sum(of: batch * g.outHeight * g.outWidth), magnitude: .terms, work: work,
        outputs: { (t) throws(TensorError) in
          try t.direct([g.filterShape]) { (backend, out) throws(DeviceError) in
            try backend.convolution2DFilterGradient(
              t[0].value, upstream: t[1].value, g, into: out[0])
          }
        },
        oracles: { [Convolution2DOracle.filterGradient($0[0], $0[1], g)] }),
    ]
  }
}
