internal import KeelAutograd
internal import KeelBackend

/// The gradient that dense and convolution share, straight on the contract.
enum BiasActivationCases {
  static let all: [OperationCase] =
    [
      check("identity", .identity, [129, 33]),
      check("relu", .relu, [129, 33]),
      check("leaky_relu", .leakyRelu(slope: 0.2), [129, 33]),
      check("elu", .elu(alpha: 0.5), [129, 33], output: (-0.49, 2)),
      check("sigmoid", .sigmoid, [129, 33], output: (0.01, 0.99)),
      check("tanh", .tanh, [129, 33], output: (-0.99, 0.99)),
      check("relu_one_element", .relu, [1, 1]),
      check("relu_one_row", .relu, [1, 70]),
      check("relu_one_column", .relu, [1031, 1]),
      check("relu_rows3001_columns10", .relu, [3001, 10]),
      check("relu_rows17_columns1000", .relu, [17, 1000]),
      check("relu_images", .relu, [4, 14, 14, 32]),
      check("relu_in_place", .relu, [65, 40], form: .inPlace),
      check("relu_without_bias", .relu, [65, 40], form: .withoutBias),
      check("identity_bias_only", .identity, [500, 24], form: .biasOnly),
    ] + [
      check("relu_rows100352_columns64", .relu, [100352, 64], isLarge: true)
    ]

  private enum Form: Sendable {
    case full
    case inPlace
    case withoutBias
    case biasOnly
  }

  private static func check(
    _ label: String, _ activation: Activation, _ shape: Shape,
    output range: (low: Float, high: Float) = (-1, 1), form: Form = .full, isLarge: Bool = false
  ) -> OperationCase {
    let columns = shape[shape.rank - 1]
    let rows = shape.count / columns
    return OperationCase(
      .biasActivation, label,
      inputs: [CaseInput(shape, .uniform(range.low, range.high)), CaseInput(shape)],
      tolerance: .sum(of: rows), magnitude: .given { magnitudes($0[1], columns, form) },
      work: isLarge ? .init(flops: 2 * shape.count, bytes: 12 * shape.count) : nil,
      outputs: { (t) throws(TensorError) in
        switch form {
        case .full:
          try t.direct([shape, [columns]]) { (backend, out) throws(DeviceError) in
            try backend.biasActivationGradient(
              output: t[0].value, upstream: t[1].value, activation, into: out[0], bias: out[1])
          }
        case .inPlace:
          try t.direct([[columns]]) { (backend, out) throws(DeviceError) in
            try backend.biasActivationGradient(
              output: t[0].value, upstream: t[1].value, activation, into: t[1].value,
              bias: out[0])
          } + [t[1]]
        case .withoutBias:
          try t.direct([shape]) { (backend, out) throws(DeviceError) in
            try backend.biasActivationGradient(
              output: t[0].value, upstream: t[1].value, activation, into: out[0], bias: nil)
          }
        case .biasOnly:
          try t.direct([[columns]]) { (backend, out) throws(DeviceError) in
            try backend.biasActivationGradient(
              output: t[0].value, upstream: t[1].value, activation, into: nil, bias: out[0])
          }
        }
      },
      oracles: { t in
        var dz = t[1]
        for i in dz.indices { dz[i] *= slope(activation, output: t[0][i]) }
        var db = [Double](repeating: 0, count: columns)
        for i in dz.indices { db[i % columns] += dz[i] }
        return arrange(dz, db, form)
      })
  }

  /// Slopes lie in 0 ... 1.5: the sums of |dy| measure every output.
  private static func magnitudes(_ dy: [Double], _ columns: Int, _ form: Form) -> [[Double]] {
    var db = [Double](repeating: 0, count: columns)
    for i in dy.indices { db[i % columns] += abs(dy[i]) }
    return arrange(dy.map(abs), db, form)
  }

  private static func arrange(_ dz: [Double], _ db: [Double], _ form: Form) -> [[Double]] {
    switch form {
    case .full: [dz, db]
    case .inPlace: [db, dz]
    case .withoutBias: [dz]
    case .biasOnly: [db]
    }
  }

  private static func slope(_ activation: Activation, output y: Double) -> Double {
    switch activation {
    case .identity: 1
    case .relu: y <= 0 ? 0 : 1
    case .leakyRelu(let slope): y <= 0 ? Double(slope) : 1
    case .elu(let alpha): y <= 0 ? y + Double(alpha) : 1
    case .sigmoid: y * (1 - y)
    case .tanh: 1 - y * y
    case .softplus, .gelu, .silu: .nan
    }
  }
}
