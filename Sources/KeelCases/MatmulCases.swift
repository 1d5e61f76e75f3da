internal import KeelAutograd
internal import KeelBackend

/// Matrix products: the four transpose forms, sizes around the tiles of every plan, batches.
enum MatmulCases {
  static let all = forms + sizes + manyRows + longInner + batches + special + large

  /// Which operands are stored transposed, for labels: n as written, t transposed.
  private static let forms: [OperationCase] = [
    (5, 7, 9), (33, 17, 65), (130, 70, 100),
  ].flatMap { rows, inner, columns in
    [(false, false), (true, false), (false, true), (true, true)].map { left, right in
      product(
        rows, inner, columns, transposeLeft: left, transposeRight: right, gradient: rows < 100)
    }
  }

  private static func product(
    _ rows: Int, _ inner: Int, _ columns: Int, transposeLeft: Bool = false,
    transposeRight: Bool = false, gradient: Bool = false, isLarge: Bool = false,
    fill: CaseInput.Fill = .uniform(-2, 2), label: String? = nil
  ) -> OperationCase {
    let geometry = MatmulGeometry(
      rows: rows, inner: inner, columns: columns, transposeLeft: transposeLeft,
      transposeRight: transposeRight)
    let form = (transposeLeft ? "t" : "n") + (transposeRight ? "t" : "n")
    return OperationCase(
      .matmul, label ?? "\(form)_\(rows)x\(inner)x\(columns)",
      inputs: [
        CaseInput(transposeLeft ? [inner, rows] : [rows, inner], fill),
        CaseInput(transposeRight ? [columns, inner] : [inner, columns]),
      ],
      tolerance: .sum(of: inner), magnitude: .terms, differentiable: gradient ? [0, 1] : [],
      work: isLarge
        ? .init(
          flops: geometry.flops, bytes: 4 * (rows * inner + inner * columns + rows * columns))
        : nil,
      run: { (t) throws(TensorError) in
        try t[0].matmul(t[1], transposeLeft: transposeLeft, transposeRight: transposeRight)
      },
      oracle: { multiply($0[0], $0[1], geometry) })
  }

  /// c[i, r, n] = sum over k of a[i, r, k] * b[i, k, n].
  static func multiply(_ a: [Double], _ b: [Double], _ g: MatmulGeometry) -> [Double] {
    var c = [Double](repeating: 0, count: g.batch * g.rows * g.columns)
    for i in 0..<g.batch {
      for r in 0..<g.rows {
        for n in 0..<g.columns {
          var sum = 0.0
          for k in 0..<g.inner {
            let left = g.transposeLeft ? k * g.rows + r : r * g.inner + k
            let right = g.transposeRight ? n * g.inner + k : k * g.columns + n
            sum += a[i * g.leftBatchStride + left] * b[i * g.rightBatchStride + right]
          }
          c[(i * g.rows + r) * g.columns + n] = sum
        }
      }
    }
    return c
  }

  private static let sizes: [OperationCase] =
    [
      (1, 1, 1), (1, 7, 1), (7, 1, 7), (1, 33, 129), (129, 33, 1), (129, 129, 129), (8, 16, 32),
      (16, 64, 64), (13, 20, 31), (14, 20, 32), (15, 20, 33), (17, 9, 48), (64, 64, 64),
      (65, 31, 63), (31, 513, 33), (7, 1100, 7), (128, 8, 128), (257, 5, 3), (32, 800, 128),
      (1, 1000, 10), (2, 300, 500), (10, 9, 40), (20, 9, 144), (1100, 64, 10), (1100, 64, 16),
    ].map { rows, inner, columns in
      product(rows, inner, columns, gradient: rows * inner * columns < 10_000)
    }

  /// Many rows and a small right operand: one to seven vectors of columns, in place and packed, the
  /// last rows of a tile beyond the matrix.
  private static let manyRows: [OperationCase] = [
    product(1030, 12, 33), product(1024, 9, 64), product(1027, 17, 80), product(1024, 30, 112),
    product(1030, 20, 60, transposeRight: true), product(1040, 5, 15, transposeRight: true),
    direct("direct_rows_bias_relu", rows: 1030, inner: 7, columns: 45, .relu, bias: true),
    direct("direct_rows_sigmoid", rows: 1025, inner: 6, columns: 20, .sigmoid, bias: false),
  ]

  /// A long inner axis and a left operand that is stored transposed: tiles of seven and eight rows,
  /// of one to three vectors, several groups of columns.
  private static let longInner: [OperationCase] = [
    (28, 1100, 48), (30, 1030, 100), (70, 1050, 10), (72, 1030, 300), (13, 1025, 31),
  ].map { product($0, $1, $2, transposeLeft: true) }

  private static func batched(
    _ label: String, _ left: Shape, _ right: Shape, to target: Shape, transposeLeft: Bool = false,
    transposeRight: Bool = false
  ) -> OperationCase {
    let (rows, columns) = (target[target.rank - 2], target[target.rank - 1])
    let inner = left[left.rank - (transposeLeft ? 2 : 1)]
    let geometry = MatmulGeometry(
      rows: rows, inner: inner, columns: columns, transposeLeft: transposeLeft,
      transposeRight: transposeRight)
    let batch = Shape(target.extents.dropLast(2))
    let leftPlaces = Broadcast.places(of: Shape(left.extents.dropLast(2)), in: batch)
    let rightPlaces = Broadcast.places(of: Shape(right.extents.dropLast(2)), in: batch)
    return OperationCase(
      .matmul, "batch_\(label)", inputs: [CaseInput(left), CaseInput(right)],
      tolerance: .sum(of: inner), magnitude: .terms, differentiable: [0, 1],
      run: { (t) throws(TensorError) in
        try t[0].matmul(t[1], transposeLeft: transposeLeft, transposeRight: transposeRight)
      },
      oracle: { t in
        var result: [Double] = []
        for i in 0..<batch.count {
          let (a, b) = (leftPlaces[i] * rows * inner, rightPlaces[i] * inner * columns)
          result += multiply(
            Array(t[0][a..<(a + rows * inner)]), Array(t[1][b..<(b + inner * columns)]), geometry)
        }
        return result
      })
  }

  private static let batches: [OperationCase] = [
    batched("both", [4, 5, 6], [4, 6, 7], to: [4, 5, 7]),
    batched("both_tiles", [3, 17, 20], [3, 20, 33], to: [3, 17, 33]),
    batched("left_shared", [5, 6], [4, 6, 7], to: [4, 5, 7]),
    batched("right_shared", [4, 5, 6], [6, 7], to: [4, 5, 7]),
    batched("left_of_one", [1, 5, 6], [4, 6, 7], to: [4, 5, 7]),
    batched("two_axes", [2, 3, 5, 6], [2, 3, 6, 4], to: [2, 3, 5, 4]),
    batched("two_axes_stretched", [2, 1, 5, 6], [3, 6, 4], to: [2, 3, 5, 4]),
    batched(
      "transposed_left", [4, 6, 5], [4, 6, 7], to: [4, 5, 7], transposeLeft: true),
    batched(
      "transposed_right", [4, 5, 6], [4, 7, 6], to: [4, 5, 7], transposeRight: true),
    batched(
      "transposed_both_shared", [6, 5], [4, 7, 6], to: [4, 5, 7], transposeLeft: true,
      transposeRight: true),
  ]

  private static let special: [OperationCase] = [
    // One NaN or infinity must reach exactly its row, whatever pads the tiles.
    product(
      19, 35, 37, fill: .sprinkled([.nan] + [Float](repeating: 1, count: 28)),
      label: "nan_19x35x37"),
    product(
      19, 35, 37, fill: .sprinkled([.infinity] + [Float](repeating: 1, count: 28)),
      label: "infinite_19x35x37"),
    product(5, 0, 7, label: "inner_empty"),
    product(0, 5, 7, label: "rows_empty"),
    direct("direct_bias_relu", rows: 37, inner: 21, columns: 45, .relu, bias: true),
    direct("direct_inner_empty_bias", rows: 5, inner: 0, columns: 7, .identity, bias: true),
    direct("direct_inner_empty_sigmoid", rows: 5, inner: 0, columns: 7, .sigmoid, bias: true),
  ]

  /// The epilogue straight on the contract.
  private static func direct(
    _ label: String, rows: Int, inner: Int, columns: Int, _ activation: Activation, bias: Bool
  ) -> OperationCase {
    let geometry = MatmulGeometry(rows: rows, inner: inner, columns: columns)
    return OperationCase(
      .matmul, label, inputs: [[rows, inner], [inner, columns], [columns]],
      tolerance: .transcendentalSum(of: inner), magnitude: .terms,
      outputs: { (t) throws(TensorError) in
        try t.direct([[rows, columns]]) { (backend, out) throws(DeviceError) in
          try backend.matmul(
            t[0].value, t[1].value, geometry,
            Epilogue(bias: bias ? t[2].value : nil, activation: activation), into: out[0])
        }
      },
      oracles: { t in
        var c = multiply(t[0], t[1], geometry)
        for i in c.indices {
          c[i] = ActivationCases.formula(activation, c[i] + (bias ? t[2][i % columns] : 0))
        }
        return [c]
      })
  }

  private static let large: [OperationCase] =
    [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (64, 784, 128), (128, 5408, 128)]
    .map { product($0, $1, $2, isLarge: true) }
    + [(true, false), (false, true), (true, true)].map { left, right in
      product(1024, 1024, 1024, transposeLeft: left, transposeRight: right, isLarge: true)
    }
    + [product(128, 3584, 512, transposeLeft: true, isLarge: true)]
}
