internal import KeelAutograd
internal import KeelBackend

/// Matrix product, bias and activation as one operation.
enum DenseCases {
  static let all: [OperationCase] =
    [
      Activation.identity, .relu, .leakyRelu(slope: 0.1), .elu(alpha: 1), .sigmoid, .tanh,
      .softplus, .gelu, .silu,
    ].map { check("dense_\($0.name)", [9, 13], columns: 21, activation: $0) } + [
      check("dense_without_bias", [9, 13], columns: 21, bias: false),
      check("dense_relu_without_bias", [9, 13], columns: 21, bias: false, activation: .relu),
      check("dense_rank3", [2, 5, 6], columns: 7, activation: .tanh),
      check("dense_one_row", [1, 33], columns: 5, activation: .relu),
      check("dense_one_unit", [33, 7], columns: 1),
      // The bias' gradient in the launch of the weight's, and apart.
      check("dense_rows512_columns10", [512, 4], columns: 10),
      check("dense_rows900_columns10", [900, 4], columns: 10),
      check("dense_digits_hidden", [16, 300], columns: 128, activation: .relu, gradient: false),
      check("dense_digits_logits", [32, 128], columns: 10, gradient: false),
      check("dense_digits", [128, 5408], columns: 128, activation: .relu, isLarge: true),
    ]

  private static func check(
    _ label: String, _ shape: Shape, columns: Int, bias: Bool = true,
    activation: Activation = .identity, gradient: Bool = true, isLarge: Bool = false
  ) -> OperationCase {
    let inner = shape[shape.rank - 1]
    let geometry = MatmulGeometry(rows: shape.count / inner, inner: inner, columns: columns)
    let sums: @Sendable ([[Double]]) -> [Double] = { t in
      var c = MatmulCases.multiply(t[0], t[1], geometry)
      if bias {
        for i in c.indices { c[i] += t[2][i % columns] }
      }
      return c
    }
    let biasInput: [CaseInput] = bias ? [[columns]] : []
    return OperationCase(
      .matmul, label, inputs: [CaseInput(shape, .uniform(-1, 1)), [inner, columns]] + biasInput,
      tolerance: .transcendentalSum(of: inner),
      // No activation is steeper than 1.13.
      magnitude: .given { [sums($0.map { $0.map(abs) })] },
      differentiable: gradient && !isLarge ? (bias ? [0, 1, 2] : [0, 1]) : [],
      work: isLarge ? .init(flops: geometry.flops, bytes: 4 * inner * columns) : nil,
      run: { (t) throws(TensorError) in
        try t[0].dense(t[1], bias: bias ? t[2] : nil, activation: activation)
      },
      oracle: { sums($0).map { ActivationCases.formula(activation, $0) } })
  }
}
