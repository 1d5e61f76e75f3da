internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// The recurrent network that is made of products and elementwise steps.
enum RecurrentCases {
  static let all: [OperationCase] =
    [
      plain("rnn_tanh_3x5x4_units7", 3, 5, 4, 7, .tanh),
      plain("rnn_relu", 3, 4, 5, 6, .relu),
      plain("rnn_identity", 2, 6, 3, 5, .identity),
      plain("rnn_sigmoid_reversed", 2, 6, 3, 5, .sigmoid, reversed: true),
      plain("rnn_one_of_all", 1, 1, 1, 1, .tanh),
      plain("rnn_without_bias", 4, 3, 5, 32, .tanh, hasBias: false),
      plain("rnn_relu_nan", 2, 3, 7, 5, .relu, .sprinkled([.nan]), gradient: false),
    ]

  private static func plain(
    _ label: String, _ batch: Int, _ steps: Int, _ features: Int, _ units: Int,
    _ activation: Activation, _ fill: CaseInput.Fill = .uniform(-2, 2), reversed: Bool = false,
    hasBias: Bool = true, gradient: Bool = true
  ) -> OperationCase {
    let sizes = SequenceSizes(
      batch: batch, steps: steps, features: features, units: units, gates: 1,
      isReversed: reversed)
    return one(
      label, sizes, fill, hasBias: hasBias, gradient: gradient,
      run: { (t) throws(TensorError) in
        try t[0].simpleRNN(
          inputWeight: t[1], recurrentWeight: t[2], bias: hasBias ? t[3] : nil,
          activation: activation, reversed: reversed)
      },
      oracle: { t in
        sizes.run(t) { _, z, q, _ in ActivationCases.formula(activation, z[0] + q[0]) }
      })
  }

  private static func one(
    _ label: String, _ sizes: SequenceSizes, _ fill: CaseInput.Fill, hasBias: Bool,
    gradient: Bool,
    run: @escaping @Sendable (CaseOperands) throws(TensorError) -> Tensor,
    oracle: @escaping @Sendable ([[Double]]) -> [Double]
  ) -> OperationCase {
    OperationCase(
      .matmul, label, inputs: sizes.inputs(fill, hasBias: hasBias),
      tolerance: .transcendentalSum(of: sizes.steps * (sizes.features + sizes.units)),
      magnitude: .given { t in [oracle(t).map { max(1, abs($0)) }] },
      differentiable: gradient ? Array(0..<(hasBias ? 4 : 3)) : [],
      run: run, oracle: oracle)
  }
}
