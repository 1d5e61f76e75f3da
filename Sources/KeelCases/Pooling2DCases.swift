internal import KeelAutograd
internal import KeelBackend

/// Maximum and average over windows, and over whole images.
enum Pooling2DCases {
  static let all = windows + special + global + large

  /// Calls `body` with each window's output place and the input place and number of each tap.
  private static func visit(
    _ g: Pooling2DGeometry, _ body: (_ output: Int, _ input: Int, _ tap: Int) -> Void
  ) {
    for n in 0..<g.batch {
      for p in 0..<g.outHeight {
        for q in 0..<g.outWidth {
          for c in 0..<g.channels {
            let output = ((n * g.outHeight + p) * g.outWidth + q) * g.channels + c
            for u in 0..<g.windowHeight {
              for v in 0..<g.windowWidth {
                let row = p * g.strideHeight + u - g.padTop
                let column = q * g.strideWidth + v - g.padLeft
                guard row >= 0, row < g.height, column >= 0, column < g.width else { continue }
                let input = ((n * g.height + row) * g.width + column) * g.channels + c
                body(output, input, u * g.windowWidth + v)
              }
            }
          }
        }
      }
    }
  }

  /// The largest of each window and which tap it is.
  private static func maximum(
    _ x: [Double], _ g: Pooling2DGeometry
  ) -> (values: [Double], taps: [Double], places: [Int]) {
    var values = [Double](repeating: 0, count: g.outputShape.count)
    var taps = values
    var places = [Int](repeating: -1, count: values.count)
    visit(g) { output, input, tap in
      let old = values[output]
      if places[output] < 0 || !old.isNaN && (x[input] > old || x[input].isNaN) {
        values[output] = x[input]
        taps[output] = Double(tap)
        places[output] = input
      }
    }
    return (values, taps, places)
  }

  private static func average(_ x: [Double], _ g: Pooling2DGeometry) -> [Double] {
    var sums = [Double](repeating: 0, count: g.outputShape.count)
    var counts = sums
    visit(g) { output, input, _ in
      sums[output] += x[input]
      counts[output] += 1
    }
    return sums.indices.map { sums[$0] / counts[$0] }
  }

  private static func pools(
    _ label: String, _ shape: Shape, window: (Int, Int), stride: (Int, Int)? = nil,
    _ padding: Padding = .valid
  ) -> [OperationCase] {
    let step = stride ?? window
    let g = Pooling2DGeometry(
      batch: shape[0], height: shape[1], width: shape[2], channels: shape[3], window: window,
      stride: step,
      padding: PaddingOracle.resolve(
        padding, height: shape[1], width: shape[2], kernel: window, stride: step))
    return [
      OperationCase(
        .pooling2D, "maximum_\(label)", inputs: [CaseInput(shape, .distinct)], tolerance: .exact,
        differentiable: [0],
        run: { (t) throws(TensorError) in
          try t[0].maxPooling2D(window: window, stride: stride, padding: padding)
        },
        oracle: { maximum($0[0], g).values }),
      OperationCase(
        .pooling2D, "average_\(label)", inputs: [CaseInput(shape)],
        tolerance: .sum(of: window.0 * window.1), magnitude: .terms, differentiable: [0],
        run: { (t) throws(TensorError) in
          try t[0].averagePooling2D(window: window, stride: stride, padding: padding)
        },
        oracle: { average($0[0], g) }),
    ]
  }

  private static let windows: [OperationCase] =
    pools("2x2", [2, 6, 8, 3], window: (2, 2))
    + pools("2x2_odd", [2, 7, 5, 5], window: (2, 2))
    + pools("2x2_channels32", [1, 8, 8, 32], window: (2, 2))
    + pools("2x2_same_odd", [2, 7, 5, 4], window: (2, 2), .same)
    + pools("3x3_overlapping", [2, 7, 8, 3], window: (3, 3), stride: (1, 1))
    + pools("3x3_stride2_same", [2, 8, 7, 5], window: (3, 3), stride: (2, 2), .same)
    + pools("3x3_stride1_same", [1, 6, 6, 17], window: (3, 3), stride: (1, 1), .same)
    + pools("2x2_stride3", [1, 9, 8, 2], window: (2, 2), stride: (3, 3))
    + pools("3x2_stride1x2", [1, 6, 7, 2], window: (3, 2), stride: (1, 2))
    + pools(
      "padded", [1, 5, 6, 3], window: (3, 3), stride: (2, 2),
      .explicit(top: 1, left: 2, bottom: 0, right: 1))
    + pools("whole_image", [2, 5, 4, 3], window: (5, 4))
    + pools("1x1", [1, 3, 4, 2], window: (1, 1))

  /// Values and winners straight on the contract, and the gradient from given winners.
  private static func direct(
    _ label: String, _ shape: Shape, window: (Int, Int), stride: (Int, Int), pad: Int = 0,
    _ fill: CaseInput.Fill
  ) -> [OperationCase] {
    let g = Pooling2DGeometry(
      batch: shape[0], height: shape[1], width: shape[2], channels: shape[3], window: window,
      stride: stride, padding: (pad, pad, pad, pad))
    return [
      OperationCase(
        .pooling2D, "winners_\(label)", inputs: [CaseInput(shape, fill)], tolerance: .exact,
        outputs: { (t) throws(TensorError) in
          let indices = try t.direct([g.outputShape], .uint8) { (_, _) throws(DeviceError) in }
          return try t.direct([g.outputShape]) { (backend, out) throws(DeviceError) in
            try backend.maxPooling2D(t[0].value, g, into: out[0], indices: indices[0].value)
          } + indices
        },
        oracles: { t in
          let result = maximum(t[0], g)
          return [result.values, result.taps]
        }),
      OperationCase(
        .pooling2D, "winners_gradient_\(label)",
        inputs: [CaseInput(shape, fill), CaseInput(g.outputShape)],
        tolerance: .sum(of: window.0 * window.1),
        magnitude: .given { t in [scatter(t[1].map(abs), maximum(t[0], g).places, shape.count)] },
        outputs: { (t) throws(TensorError) in
          let indices = try t.direct([g.outputShape], .uint8) { (_, _) throws(DeviceError) in }
          return try t.direct([shape]) { (backend, out) throws(DeviceError) in
            let y = try backend.allocate(g.outputShape, .float32)
            try backend.maxPooling2D(t[0].value, g, into: y, indices: indices[0].value)
            try backend.maxPooling2DGradient(
              upstream: t[1].value, indices: indices[0].value, g, into: out[0])
          }
        },
        oracles: { t in [scatter(t[1], maximum(t[0], g).places, shape.count)] }),
    ]
  }

  private static func scatter(_ dy: [Double], _ places: [Int], _ count: Int) -> [Double] {
    var dx = [Double](repeating: 0, count: count)
    for i in dy.indices { dx[places[i]] += dy[i] }
    return dx
  }

  private static let special: [OperationCase] =
    direct("ties", [1, 6, 6, 3], window: (2, 2), stride: (2, 2), .repeating([1, 2, 2, 0, 1]))
    + direct("all_equal", [1, 7, 7, 2], window: (3, 3), stride: (2, 2), .repeating([-1]))
    + direct("nan", [2, 6, 6, 3], window: (2, 2), stride: (2, 2), .sprinkled([.nan]))
    + direct(
      "nan_overlapping", [1, 7, 7, 2], window: (3, 3), stride: (2, 2), pad: 1,
      .sprinkled([.nan, 1, 1]))
    + direct(
      "minus_infinity_padded", [1, 5, 5, 2], window: (3, 3), stride: (2, 2), pad: 1,
      .repeating([-.infinity]))
    + direct(
      "negative_padded", [1, 5, 5, 18], window: (3, 3), stride: (1, 1), pad: 1, .uniform(-9, -1))
    + direct("window16x16", [1, 16, 17, 2], window: (16, 16), stride: (1, 1), .uniform(-1, 1))

  private static func whole(
    _ label: String, _ shape: Shape, isMaximum: Bool
  ) -> OperationCase {
    OperationCase(
      .pooling2D, label, inputs: [CaseInput(shape, isMaximum ? .distinct : .uniform(-2, 2))],
      tolerance: isMaximum ? .exact : .sum(of: shape[1] * shape[2]),
      magnitude: isMaximum ? .element : .terms, differentiable: [0],
      run: { (t) throws(TensorError) in
        isMaximum ? try t[0].globalMaxPooling2D() : try t[0].globalAveragePooling2D()
      },
      oracle: { ReductionCases.reduce(isMaximum ? .max : .mean, $0[0], shape, [1, 2]) })
  }

  private static let global: [OperationCase] = [
    whole("global_average", [3, 5, 7, 9], isMaximum: false),
    whole("global_average_channels64", [2, 4, 4, 64], isMaximum: false),
    whole("global_maximum", [3, 5, 7, 9], isMaximum: true),
  ]

  private static let large: [OperationCase] = {
    let g = Pooling2DGeometry(
      batch: 128, height: 26, width: 26, channels: 32, window: (2, 2), stride: (2, 2))
    return [
      OperationCase(
        .pooling2D, "maximum_digits", inputs: [CaseInput(g.inputShape)], tolerance: .exact,
        work: .init(flops: g.inputShape.count, bytes: 4 * g.inputShape.count),
        run: { (t) throws(TensorError) in try t[0].maxPooling2D(window: (2, 2)) },
        oracle: { maximum($0[0], g).values })
    ]
  }()
}
