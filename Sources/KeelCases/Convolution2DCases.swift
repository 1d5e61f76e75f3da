internal import KeelAutograd
internal import KeelBackend

/// Convolutions: each form forward (with bias and activation, gradients by differences) and its
/// two gradients straight on the contract against sums of their own.
enum Convolution2DCases {
  /// One form of convolution.
  struct Form: Sendable {
    var label: String
    var geometry: Convolution2DGeometry
    var padding: Padding
    var bias = true
    var activation = Activation.identity
    var fill = CaseInput.Fill.uniform(-1, 1)

    init(
      _ label: String, batch: Int = 2, _ height: Int, _ width: Int, _ inChannels: Int,
      to outChannels: Int, kernel: (Int, Int) = (3, 3), stride: (Int, Int) = (1, 1),
      dilation: (Int, Int) = (1, 1), _ padding: Padding = .valid, groups: Int = 1,
      bias: Bool = true, _ activation: Activation = .identity
    ) {
      self.label = label
      self.padding = padding
      self.bias = bias
      self.activation = activation
      geometry = Convolution2DGeometry(
        batch: batch, height: height, width: width, inChannels: inChannels,
        outChannels: outChannels, kernel: kernel, stride: stride, dilation: dilation,
        padding: PaddingOracle.resolve(
          padding, height: height, width: width, kernel: kernel, stride: stride,
          dilation: dilation),
        groups: groups)
    }

    /// Gradients by differences evaluate the oracle some hundred times.
    var isCheap: Bool { geometry.flops < 120_000 }
  }

  static let all =
    forms.map(forward) + forms.flatMap(gradients) + [forward(nan)]

  private static let forms: [Form] = [
    Form("kernel1x1", 5, 7, 3, to: 4, kernel: (1, 1)),
    Form("kernel1x1_channels16_32", 8, 9, 16, to: 32, kernel: (1, 1), .valid, .relu),
    Form("kernel1x1_channels9_40", 8, 9, 9, to: 40, kernel: (1, 1), .valid, .tanh),
    Form("kernel1x1_channels48_60", 4, 5, 48, to: 60, kernel: (1, 1)),
    Form(
      "kernel1x1_padding", 4, 5, 3, to: 4, kernel: (1, 1),
      .explicit(top: 1, left: 0, bottom: 0, right: 1)),
    Form("kernel1x1_stride2", 7, 9, 5, to: 3, kernel: (1, 1), stride: (2, 2)),
    Form("kernel3x3_valid", 6, 7, 3, to: 5),
    Form("kernel3x3_same", 6, 7, 3, to: 5, .same),
    Form("kernel3x3_relu", 6, 7, 3, to: 5, .same, .relu),
    Form("kernel3x3_leaky_relu", 6, 7, 3, to: 5, .same, .leakyRelu(slope: 0.2)),
    Form("kernel3x3_elu", 6, 7, 3, to: 5, .same, .elu(alpha: 1)),
    Form("kernel3x3_sigmoid", 6, 7, 3, to: 5, .same, .sigmoid),
    Form("kernel3x3_tanh", 6, 7, 3, to: 5, .same, .tanh),
    Form("kernel3x3_gelu", 6, 7, 3, to: 5, .same, .gelu),
    Form("without_bias", 6, 7, 3, to: 5, .same, bias: false),
    Form("relu_without_bias", 6, 7, 3, to: 5, .same, bias: false, .relu),
    Form("stride2_same", 7, 8, 3, to: 5, stride: (2, 2), .same),
    Form("stride2_valid", 9, 8, 3, to: 5, stride: (2, 2)),
    Form("stride3_valid", 11, 10, 2, to: 3, stride: (3, 3)),
    Form("stride3_kernel2", 8, 8, 2, to: 3, kernel: (2, 2), stride: (3, 3)),
    Form("stride2x1", 7, 6, 2, to: 3, stride: (2, 1), .same),
    Form("kernel5x5_same", 9, 8, 2, to: 3, kernel: (5, 5), .same, .relu),
    Form("kernel5x5_stride2_same", 9, 8, 2, to: 3, kernel: (5, 5), stride: (2, 2), .same),
    Form("kernel1x3", 6, 7, 3, to: 4, kernel: (1, 3), .same),
    Form("kernel3x1", 6, 7, 3, to: 4, kernel: (3, 1)),
    Form("kernel2x2_same", 5, 6, 3, to: 4, kernel: (2, 2), .same),
    Form("kernel4x4_stride2_same", 7, 9, 2, to: 3, kernel: (4, 4), stride: (2, 2), .same),
    Form("dilation2_valid", 8, 9, 3, to: 4, dilation: (2, 2)),
    Form("dilation2_same", 7, 7, 3, to: 4, dilation: (2, 2), .same),
    Form("dilation1x2_stride2x1", 7, 8, 2, to: 3, stride: (2, 1), dilation: (1, 2), .same),
    Form(
      "padding_explicit", 6, 7, 3, to: 4, .explicit(top: 1, left: 0, bottom: 2, right: 1)),
    Form(
      "padding_wide", 4, 3, 2, to: 3, .explicit(top: 3, left: 4, bottom: 2, right: 3)),
    Form("groups2", 6, 7, 4, to: 6, .same, groups: 2, .relu),
    Form("groups2_stride2", 7, 7, 6, to: 4, stride: (2, 2), .same, groups: 2),
    Form("groups4_channels64", batch: 1, 5, 5, 64, to: 64, .same, groups: 4),
    Form("depthwise", 7, 6, 5, to: 5, .same, groups: 5),
    Form("depthwise_channels32", 8, 8, 32, to: 32, .same, groups: 32, .relu),
    Form("depthwise_stride2", 9, 9, 16, to: 16, stride: (2, 2), .same, groups: 16),
    Form("depthwise_multiplier2", 6, 5, 3, to: 6, .same, groups: 3),
    Form("digits", 28, 28, 1, to: 32, .valid, .relu),
    Form("digits_same", batch: 1, 28, 28, 1, to: 32, .same, .relu),
    Form("channels1_1", 5, 5, 1, to: 1),
    Form("channels5_33", 6, 7, 5, to: 33, .same),
    Form("channels16_16", batch: 1, 9, 15, 16, to: 16, .same),
    Form("channels16_31", batch: 1, 8, 14, 16, to: 31, .same),
    Form("channels32_64", batch: 1, 10, 13, 32, to: 64, .same, .relu),
    Form("channels64_64", batch: 1, 9, 29, 64, to: 64, .same, .relu),
    Form("channels64_64_stride2", batch: 1, 11, 14, 64, to: 64, stride: (2, 2), .same),
    Form("channels8_48_stride2", batch: 1, 9, 15, 8, to: 48, stride: (2, 2), .same, .relu),
    Form("channels12_40_stride2", batch: 1, 9, 11, 12, to: 40, stride: (2, 2), .same),
    Form("channels48_12", batch: 1, 9, 11, 48, to: 12, .same),
    // All taps in one product: one tile of them and two, halves of images, narrow images.
    Form("channels24_20", batch: 3, 7, 5, 24, to: 20, .same, .tanh),
    Form("channels20_8_parts", batch: 1, 19, 9, 20, to: 8, .same, .relu),
    Form(
      "channels20_6_padding", batch: 2, 6, 7, 20, to: 6,
      .explicit(top: 3, left: 0, bottom: 2, right: 1)),
    Form("channels20_6_kernel5x2", batch: 1, 9, 6, 20, to: 6, kernel: (5, 2)),
    Form("channels20_6_width1", batch: 2, 5, 1, 20, to: 6, .same),
    Form("channels32_1", batch: 1, 6, 7, 32, to: 1, .same),
    Form("channels20_6_dilation2", batch: 2, 8, 7, 20, to: 6, dilation: (2, 2), .same),
    // Several tiles to a work-item.
    Form("channels12_40_runs", batch: 8, 17, 15, 12, to: 40, stride: (2, 2), .same),
    Form("channels64_48_valid", batch: 1, 8, 17, 64, to: 48, .valid),
    Form("channels64_64_winograd", 18, 22, 64, to: 64, .same, .relu),
    // So many tiles that the filter's gradient goes through all stages in blocks.
    Form("channels32_32_winograd_blocks", 61, 64, 32, to: 32, .same),
    Form("channels3_16_batch5", batch: 5, 8, 8, 3, to: 16, .same, .relu),
    Form("image1x1", batch: 3, 1, 1, 4, to: 5, .same),
    Form("image2x3_kernel5x5", 2, 3, 2, to: 3, kernel: (5, 5), .same),
    Form("width1", 9, 1, 3, to: 4, .same),
  ]

  private static let nan: Form = {
    var form = Form("nan", batch: 1, 8, 9, 3, to: 5, .same, .relu)
    form.fill = .sprinkled([.nan] + [Float](repeating: 0.5, count: 9))
    return form
  }()

  private static func forward(_ form: Form) -> OperationCase {
    let (g, bias) = (form.geometry, form.bias)
    let sums: @Sendable ([[Double]]) -> [Double] = { t in
      var y = Convolution2DOracle.forward(t[0], t[1], g)
      if bias {
        for i in y.indices { y[i] += t[2][i % g.outChannels] }
      }
      return y
    }
    let terms = g.kernelHeight * g.kernelWidth * (g.inChannels / g.groups)
    let inputs = [CaseInput(g.inputShape, form.fill), CaseInput(g.filterShape)]
    let positions = bias ? [0, 1, 2] : [0, 1]
    let isCheap = form.isCheap && form.label != nan.label
    return OperationCase(
      .convolution2D, form.label,
      inputs: inputs + (bias ? [CaseInput([g.outChannels])] : []),
      tolerance: .transcendentalSum(of: terms),
      magnitude: .given { [magnitude(sums($0.map { $0.map(abs) }), g)] },
      differentiable: isCheap ? positions : [],
      run: { (t) throws(TensorError) in
        try t[0].convolution2D(
          t[1], bias: bias ? t[2] : nil, stride: (g.strideHeight, g.strideWidth),
          dilation: (g.dilationHeight, g.dilationWidth), padding: form.padding, groups: g.groups,
          activation: form.activation)
      },
      oracle: { sums($0).map { ActivationCases.formula(form.activation, $0) } })
  }

  /// What errors are measured against: the sum of |terms|, the largest one where tiles may be
  /// computed together.
  private static func magnitude(_ terms: [Double], _ geometry: Convolution2DGeometry) -> [Double] {
    guard geometry.allowsMinimalFiltering else { return terms }
    let largest = terms.reduce(0) { $1.isFinite ? max($0, $1) : $0 }
    return terms.map { $0.isFinite ? largest : $0 }
  }

  private static func gradients(_ form: Form) -> [OperationCase] {
    // An activation changes nothing in the two gradients of the sum.
    guard form.activation == .identity || !form.isCheap else { return [] }
    let g = form.geometry
    let taps = g.kernelHeight * g.kernelWidth
    return [
      OperationCase(
        .convolution2D, "\(form.label)_input_gradient",
        inputs: [CaseInput(g.outputShape), CaseInput(g.filterShape)],
        tolerance: .sum(of: taps * g.outChannels / g.groups),
        magnitude: .given { inputs in
          let t = inputs.map { $0.map(abs) }
          return [magnitude(Convolution2DOracle.inputGradient(t[0], t[1], g), g)]
        },
        outputs: { (t) throws(TensorError) in
          try t.direct([g.inputShape]) { (backend, out) throws(DeviceError) in
            try backend.convolution2DInputGradient(
              upstream: t[0].value, filter: t[1].value, g, into: out[0])
          }
        },
        oracles: { [Convolution2DOracle.inputGradient($0[0], $0[1], g)] }),
      OperationCase(
        .convolution2D, "\(form.label)_filter_gradient",
        inputs: [CaseInput(g.inputShape), CaseInput(g.outputShape)],
        tolerance: .sum(of: g.batch * g.outHeight * g.outWidth), magnitude: .terms,
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
