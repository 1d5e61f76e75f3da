internal import KeelAutograd
internal import KeelBackend

/// Batch normalisation: training with running statistics, inference, and the gradient alone.
enum BatchNormalizationCases {
  static let all: [OperationCase] =
    [
      training("training", [16, 5]),
      training("training_relu", [16, 5], .relu),
      training("training_leaky_relu", [16, 5], .leakyRelu(slope: 0.1)),
      training("training_elu", [16, 5], .elu(alpha: 0.75)),
      training("training_sigmoid_channels20", [6, 20], .sigmoid),
      training("training_tanh", [16, 5], .tanh),
      training("training_gelu", [16, 5], .gelu),
      training("training_adding_relu", [16, 5], .relu, adds: true),
      training("training_adding_elu_channels36", [5, 36], .elu(alpha: 0.5), adds: true),
      training("training_adding_gelu", [16, 5], .gelu, adds: true),
      training("training_adding_channels32", [2, 3, 3, 32], adds: true),
      training("training_images", [3, 5, 6, 7]),
      training("training_images_relu_channels32", [2, 6, 6, 32], .relu),
      training("training_one_channel", [37, 1]),
      training("training_two_rows", [2, 33]),
      training("training_channels257", [9, 257]),
      training("training_rows3001_channels3", [3001, 3], gradient: false),
      training("training_rows1500_channels64", [1500, 64], .relu, gradient: false),
      training("training_large_mean", [257, 5], fill: .uniform(999, 1001), gradient: false),
      training("training_constant", [65, 3], fill: .repeating([2.5]), gradient: false),
      training("training_nan", [9, 14], fill: .sprinkled([.nan, 1, 1]), gradient: false),
      // One channel of four with NaN, one with an infinity: the other two move on.
      training(
        "training_quarantine", [8, 4],
        fill: .repeating([.nan, 1, 2, 3, 0.5, -1, 1, .infinity, 2, 0, -2, 1]), gradient: false),
      training("training_momentum0", [33, 4], momentum: 0),
      inference("inference", [16, 5], .identity),
      inference("inference_relu", [3, 5, 6, 7], .relu),
      inference("inference_silu", [16, 5], .silu),
      inference("inference_channels64", [50, 64], .relu),
      gradient("gradient", [129, 33], .identity),
      gradient("gradient_relu", [129, 33], .relu),
      gradient("gradient_rows3001_channels10", [3001, 10], .relu),
      gradient("gradient_without_input", [129, 33], .relu, needsInput: false),
      gradient("gradient_leaky_relu", [130, 16], .leakyRelu(slope: 0.25)),
      gradient("gradient_elu", [67, 36], .elu(alpha: 0.75)),
      gradient("gradient_sigmoid", [67, 5], .sigmoid),
      gradient("gradient_tanh", [67, 32], .tanh),
      // Over dy: the last vector of 20 or 7 channels starts early, among what is written already.
      gradient("gradient_in_place", [131, 20], .relu, inPlace: true),
      gradient("gradient_in_place_channels7", [131, 7], .leakyRelu(slope: 0.25), inPlace: true),
      gradient("gradient_in_place_channels64", [131, 64], .identity, inPlace: true),
      gradient("gradient_in_place_one_channel", [131, 1], .tanh, inPlace: true),
    ] + large

  private struct Statistics {
    var mean: [Double]
    var variance: [Double]
    /// Means of |x|.
    var magnitude: [Double]
  }

  /// Two passes, as the definition reads.
  private static func statistics(_ x: [Double], _ channels: Int) -> Statistics {
    let rows = Double(x.count / channels)
    var result = Statistics(
      mean: [Double](repeating: 0, count: channels),
      variance: [Double](repeating: 0, count: channels),
      magnitude: [Double](repeating: 0, count: channels))
    for i in x.indices {
      result.mean[i % channels] += x[i] / rows
      result.magnitude[i % channels] += abs(x[i]) / rows
    }
    for i in x.indices {
      let difference = x[i] - result.mean[i % channels]
      result.variance[i % channels] += difference * difference / rows
    }
    return result
  }

  /// Running statistics after a batch: those of a channel that is not finite stay.
  private static func running(
    _ old: [Double], _ batch: Statistics, _ new: (Int) -> Double
  ) -> [Double] {
    old.indices.map { c in
      batch.mean[c].isFinite && batch.variance[c].isFinite ? new(c) : old[c]
    }
  }

  private static let epsilon = 1e-3

  /// y before the activation, with given statistics; its magnitude where asked for.
  private static func normalize(
    _ x: [Double], _ gamma: [Double], _ beta: [Double], _ mean: [Double], _ variance: [Double],
    magnitude: Bool = false
  ) -> [Double] {
    x.indices.map { i in
      let c = i % gamma.count
      let scale = gamma[c] / (variance[c] + Double(Float(epsilon))).squareRoot()
      return magnitude
        ? (abs(x[i]) + abs(mean[c])) * abs(scale) + abs(beta[c])
        : (x[i] - mean[c]) * scale + beta[c]
    }
  }

  private static func training(
    _ label: String, _ shape: Shape, _ activation: Activation = .identity,
    momentum: Float = 0.9, fill: CaseInput.Fill = .uniform(-2, 2), gradient: Bool = true,
    adds: Bool = false
  ) -> OperationCase {
    let channels = shape[shape.rank - 1]
    let rows = shape.count / channels
    let (keep, take) = (Double(momentum), 1 - Double(momentum))
    let vector: CaseInput = [channels]
    return OperationCase(
      .batchNormalization, label,
      inputs: [
        CaseInput(shape, fill), CaseInput([channels], .uniform(0.5, 1.5)), vector, vector,
        CaseInput([channels], .uniform(0.5, 1.5)),
      ] + (adds ? [CaseInput(shape)] : []),
      tolerance: activation == .identity ? .sum(of: rows) : .transcendentalSum(of: rows),
      magnitude: .given { t in
        let s = statistics(t[0], channels)
        return [
          normalize(t[0], t[1], t[2], s.mean, s.variance, magnitude: true).enumerated().map {
            adds ? $1 + abs(t[5][$0]) : $1
          },
          running(t[3], s) { c in keep * abs(t[3][c]) + take * s.magnitude[c] },
          running(t[4], s) { c in
            keep * abs(t[4][c])
              + take * (s.variance[c] + s.magnitude[c] * s.variance[c].squareRoot())
          },
        ]
      },
      differentiable: gradient ? [0, 1, 2] + (adds ? [5] : []) : [],
      outputs: { (t) throws(TensorError) in
        let y = try t[0].batchNormalization(
          gamma: t[1], beta: t[2], runningMean: t[3], runningVariance: t[4], momentum: momentum,
          epsilon: Float(epsilon), adding: adds ? t[5] : nil, activation: activation)
        return [y, t[3], t[4]]
      },
      oracles: { t in
        let s = statistics(t[0], channels)
        let unbias = Double(rows) / Double(rows - 1)
        return [
          normalize(t[0], t[1], t[2], s.mean, s.variance).enumerated().map {
            ActivationCases.formula(activation, adds ? $1 + t[5][$0] : $1)
          },
          running(t[3], s) { c in keep * t[3][c] + take * s.mean[c] },
          running(t[4], s) { c in keep * t[4][c] + take * s.variance[c] * unbias },
        ]
      })
  }

  private static func inference(
    _ label: String, _ shape: Shape, _ activation: Activation
  ) -> OperationCase {
    let channels = shape[shape.rank - 1]
    return OperationCase(
      .batchNormalization, label,
      inputs: [
        CaseInput(shape), CaseInput([channels], .uniform(0.5, 1.5)), [channels], [channels],
        CaseInput([channels], .uniform(0.5, 1.5)),
      ],
      tolerance: .transcendental,
      magnitude: .given { [normalize($0[0], $0[1], $0[2], $0[3], $0[4], magnitude: true)] },
      differentiable: [0, 1, 2],
      run: { (t) throws(TensorError) in
        try t[0].batchNormalizationInference(
          gamma: t[1], beta: t[2], mean: t[3], variance: t[4], epsilon: Float(epsilon),
          activation: activation)
      },
      oracle: { t in
        normalize(t[0], t[1], t[2], t[3], t[4]).map { ActivationCases.formula(activation, $0) }
      })
  }

  /// The gradient straight on the contract: x, dy, mean, inverse deviation, scale and shift.
  ///
  /// What comes before the activation is an odd multiple of 1/512 on all devices: far enough from 0
  /// that no rounding decides about its sign.
  private static func gradient(
    _ label: String, _ shape: Shape, _ activation: Activation, needsInput: Bool = true,
    inPlace: Bool = false, isLarge: Bool = false
  ) -> OperationCase {
    let channels = shape[shape.rank - 1]
    let rows = shape.count / channels
    let outputs: [Shape] = (needsInput ? [shape] : []) + [[channels], [channels]]
    let x = (0..<61).map { Float($0 * 23 % 61) / 16 - 1.875 + 0x1p-7 }
    let factors: [Float] = [1, -0.5, 0.75, 1.25, -0.25, 0.5, 1.5]
    return OperationCase(
      .batchNormalization, label,
      inputs: [
        CaseInput(shape, .repeating(x)), CaseInput(shape),
        CaseInput([channels], .repeating([0.0625, -0.125, 0])),
        CaseInput([channels], .uniform(0.5, 1.5)), CaseInput([2, channels], .repeating(factors)),
      ],
      tolerance: activation.kernelCode < Activation.elu(alpha: 1).kernelCode
        ? .sum(of: rows) : .transcendentalSum(of: rows),
      magnitude: .given { pull($0, activation, needsInput, -1) },
      work: isLarge ? .init(flops: 10 * shape.count, bytes: 20 * shape.count) : nil,
      outputs: { (t) throws(TensorError) in
        try t.direct(outputs) { (backend, out) throws(DeviceError) in
          var dy = t[1].value
          if inPlace {
            try backend.pointwise(.x, [dy], into: out[0])
            dy = out[0]
          }
          try backend.batchNormalizationGradient(
            t[0].value, upstream: dy, mean: t[2].value, inverseDeviation: t[3].value,
            factors: t[4].value, activation, into: needsInput ? out[0] : nil,
            dgamma: out[out.count - 2], dbeta: out[out.count - 1])
        }
      },
      oracles: { pull($0, activation, needsInput, 1) })
  }

  /// The formulas of the contract; with `sign` -1 those of their terms' absolute values.
  private static func pull(
    _ t: [[Double]], _ activation: Activation, _ needsInput: Bool, _ sign: Double
  ) -> [[Double]] {
    let channels = t[2].count
    let rows = Double(t[0].count / channels)
    func term(_ value: Double) -> Double { sign < 0 ? abs(value) : value }
    var (dgamma, dbeta) = (
      [Double](repeating: 0, count: channels), [Double](repeating: 0, count: channels)
    )
    var (dz, h) = (t[1], t[0])
    for i in dz.indices {
      let c = i % channels
      dz[i] *= slope(activation, (t[0][i] - t[2][c]) * t[4][c] + t[4][channels + c])
      h[i] = (t[0][i] - t[2][c]) * t[3][c]
      if sign < 0 { h[i] = (abs(t[0][i]) + abs(t[2][c])) * t[3][c] }
      dbeta[c] += term(dz[i])
      dgamma[c] += term(dz[i] * h[i])
    }
    guard needsInput else { return [dgamma, dbeta] }
    let dx = dz.indices.map { i in
      let c = i % channels
      let rest = dbeta[c] / rows + h[i] * dgamma[c] / rows
      return term(t[4][c]) * (term(dz[i]) - sign * rest)
    }
    return [dx, dgamma, dbeta]
  }

  /// activation'(z).
  private static func slope(_ activation: Activation, _ z: Double) -> Double {
    let y = ActivationCases.formula(activation, z)
    return switch activation {
    case .relu: z <= 0 ? 0 : 1
    case .leakyRelu(let slope): z <= 0 ? Double(slope) : 1
    case .elu(let alpha): z <= 0 ? y + Double(alpha) : 1
    case .sigmoid: y * (1 - y)
    case .tanh: 1 - y * y
    default: 1
    }
  }

  private static let large: [OperationCase] = [
    OperationCase(
      .batchNormalization, "training_32x56x56x64",
      inputs: [[32, 56, 56, 64], [64], [64], [64], CaseInput([64], .uniform(0.5, 1.5))],
      tolerance: .transcendentalSum(of: 100_352),
      work: .init(flops: 7 * 6_422_528, bytes: 12 * 6_422_528),
      run: { (t) throws(TensorError) in
        try t[0].batchNormalization(
          gamma: t[1], beta: t[2], runningMean: t[3], runningVariance: t[4], activation: .relu)
      },
      oracle: { t in
        let s = statistics(t[0], 64)
        return normalize(t[0], t[1], t[2], s.mean, s.variance).map { max($0, 0) }
      }),
    gradient("gradient_32x56x56x64", [32, 56, 56, 64], .relu, isLarge: true),
  ]
}
