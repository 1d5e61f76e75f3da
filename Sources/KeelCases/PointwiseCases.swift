internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Every function a formula may use: on random numbers with its gradient, and on special numbers.
enum PointwiseCases {
  static let all = unary + [half] + power + binary + comparisons + formulas + large

  /// Zeros, ones, infinities, NaN, and numbers near the ends of float32's range.
  static let specials: [Float] = [
    0, -0, 1, -1, 0.5, .infinity, -.infinity, .nan, 1e-30, -1e-30, 3e38, -3e38, 20, -20, 100, -100,
    88, 1e-5,
  ]

  typealias Function = @Sendable (Tensor) throws(TensorError) -> Tensor

  static func function(
    _ name: String, _ tolerance: Tolerance, from low: Float = -2, to high: Float = 2,
    magnitude: (@Sendable (Double) -> Double)? = nil, specials: [Float] = specials,
    _ run: @escaping Function, _ formula: @escaping @Sendable (Double) -> Double
  ) -> [OperationCase] {
    let magnitudes: Magnitude =
      if let magnitude { .given { [$0[0].map(magnitude)] } } else { .element }
    return [
      OperationCase(
        .pointwise, name, inputs: [CaseInput([7, 19], .uniform(low, high))],
        tolerance: tolerance, magnitude: magnitudes, differentiable: [0],
        run: { (x) throws(TensorError) in try run(x[0]) }, oracle: { $0[0].map(formula) }),
      OperationCase(
        .pointwise, "\(name)_special", inputs: [CaseInput([37], .repeating(specials))],
        tolerance: tolerance, magnitude: magnitudes,
        run: { (x) throws(TensorError) in try run(x[0]) }, oracle: { $0[0].map(formula) }),
    ]
  }

  private static let unary: [OperationCase] =
    function(
      "negate", .exact, { (x) throws(TensorError) in try -x }, { -$0 })
    + function("abs", .exact, { (x) throws(TensorError) in try x.abs() }, { abs($0) })
    + function(
      "sign", .exact, { (x) throws(TensorError) in try x.sign() },
      { $0.isNaN ? $0 : ($0 > 0 ? 1 : ($0 < 0 ? -1 : 0)) })
    + function(
      "sqrt", .division, from: 0.1, to: 9, { (x) throws(TensorError) in try x.sqrt() },
      { $0.squareRoot() })
    + function(
      "exp", .transcendental, from: -10, to: 10, { (x) throws(TensorError) in try x.exp() },
      { exp($0) })
    + function(
      "expm1", .transcendental, { (x) throws(TensorError) in try pointwise(.x.expm1(), [x]) },
      { expm1($0) })
    + function(
      "log", .transcendental, from: 0.1, to: 10, { (x) throws(TensorError) in try x.log() },
      { log($0) })
    + function(
      "log1p", .transcendental, from: -0.8, to: 3,
      { (x) throws(TensorError) in try pointwise(.x.log1p(), [x]) }, { log1p($0) })
    + function(
      "erf", .transcendental, { (x) throws(TensorError) in try pointwise(.x.erf(), [x]) },
      { erf($0) })
    + function(
      "reciprocal", .division, from: 0.2, to: 3, specials: specials.filter { abs($0) != 3e38 },
      { (x) throws(TensorError) in try pointwise(.x.reciprocal(), [x]) }, { 1 / $0 })
    + function(
      "clipped", .exact, { (x) throws(TensorError) in try x.clipped(-0.75, 1.25) },
      { $0.isNaN ? $0 : min(max($0, -0.75), 1.25) })
    + function(
      "maximum_number", .exact, { (x) throws(TensorError) in try x.maximum(0.5) },
      { $0.isNaN ? $0 : max($0, 0.5) })
    + function(
      "minimum_number", .exact, { (x) throws(TensorError) in try x.minimum(-0.25) },
      { $0.isNaN ? $0 : min($0, -0.25) })
    + function(
      "numbers_both_sides", .division, from: 0.25, to: 3,
      magnitude: { 3 / $0 + 2 + abs($0) }, specials: [0, 1, .nan, .infinity],
      { (x) throws(TensorError) in try 3 / x - (2 - x) * 0.5 + 1 - x / 4 },
      { 3 / $0 - (2 - $0) * 0.5 + 1 - $0 / 4 })

  /// Around every border of half precision; the gradient is no difference quotient, so it is not
  /// checked here.
  private static let half = OperationCase(
    .pointwise, "rounded_to_half",
    inputs: [
      CaseInput(
        [7, 37],
        .repeating(
          specials + [
            65504, 65519.996, 65520, -65520, 65536, 1.000_488_3, 1.001_464_8, -1.000_488_4, 0.1,
            0x1p-14, 0x1.ffep-15, 0x1p-24, 0x1p-25, 0x1.8p-25, -0x1.8p-24, 0x1.4p-23, 1234.567,
            2049, 2051,
          ]))
    ], tolerance: .exact,
    run: { (x) throws(TensorError) in try x[0].roundedToHalf() },
    oracle: { $0[0].map(nearestHalf) })

  /// The nearest multiple of the distance between halves of that size.
  private static func nearestHalf(_ x: Double) -> Double {
    guard x.isFinite, x != 0 else { return x }
    let step = pow(2, Double(max(x.exponent, -14) - 10))
    let rounded = (x / step).rounded(.toNearestOrEven) * step
    return Swift.abs(rounded) >= 65536 ? (x < 0 ? -.infinity : .infinity) : rounded
  }

  private static let power: [OperationCase] = [Float(2), 3, 0.5, -1.5, 0].flatMap { exponent in
    function(
      "power_\(exponent)".replacingCharacters([".": "p", "-": "minus"]), .transcendental,
      from: 0.2, to: 3, specials: [0, 1, 2, -2, .infinity, .nan, 1e-5, 1e5],
      { (x) throws(TensorError) in try x.power(exponent) }, { pow($0, Double(exponent)) })
  }

  typealias Function2 = @Sendable (Tensor, Tensor) throws(TensorError) -> Tensor

  private static func function2(
    _ name: String, _ tolerance: Tolerance, low: Float = -2, gradient: Bool = true,
    _ run: @escaping Function2, _ formula: @escaping @Sendable (Double, Double) -> Double
  ) -> [OperationCase] {
    let oracle: @Sendable ([[Double]]) -> [Double] = { inputs in
      inputs[0].indices.map { formula(inputs[0][$0], inputs[1][$0]) }
    }
    let run: @Sendable (CaseOperands) throws(TensorError) -> Tensor = {
      (x) throws(TensorError) in try run(x[0], x[1])
    }
    // All pairs of special numbers, because the two lengths have no common divisor.
    let special: [Float] = [0, -0, 1, -1, .infinity, -.infinity, .nan, 2, 1e30, -1e30, 1e-30]
    let other: [Float] = [.nan, 0, 1, -2, .infinity, 1e25, -1, -.infinity, 2, 1e-25]
    return [
      OperationCase(
        .pointwise, name,
        inputs: [CaseInput([129], .uniform(low, 2)), CaseInput([129], .uniform(low, 2))],
        tolerance: tolerance, differentiable: gradient ? [0, 1] : [], run: run, oracle: oracle),
      OperationCase(
        .pointwise, "\(name)_special",
        inputs: [CaseInput([110], .repeating(special)), CaseInput([110], .repeating(other))],
        tolerance: tolerance, run: run, oracle: oracle),
    ]
  }

  private static let binary: [OperationCase] =
    function2("add", .exact, { (x, y) throws(TensorError) in try x + y }, { $0 + $1 })
    + function2("subtract", .exact, { (x, y) throws(TensorError) in try x - y }, { $0 - $1 })
    + function2("multiply", .exact, { (x, y) throws(TensorError) in try x * y }, { $0 * $1 })
    + function2(
      "divide", .division, low: 0.3, { (x, y) throws(TensorError) in try x / y }, { $0 / $1 })
    + function2(
      "power", .transcendental, low: 0.2, { (x, y) throws(TensorError) in try x.power(y) },
      { pow($0, $1) })
    + function2(
      "maximum", .exact, { (x, y) throws(TensorError) in try x.maximum(y) },
      { $0.isNaN || $1.isNaN ? .nan : max($0, $1) })
    + function2(
      "minimum", .exact, { (x, y) throws(TensorError) in try x.minimum(y) },
      { $0.isNaN || $1.isNaN ? .nan : min($0, $1) })

  private static let comparisons: [OperationCase] = {
    let table: [(String, Function2, @Sendable (Double, Double) -> Bool)] = [
      ("less", { (x, y) throws(TensorError) in try x.less(y) }, { $0 < $1 }),
      ("less_or_equal", { (x, y) throws(TensorError) in try x.lessOrEqual(y) }, { $0 <= $1 }),
      ("greater", { (x, y) throws(TensorError) in try x.greater(y) }, { $0 > $1 }),
      (
        "greater_or_equal", { (x, y) throws(TensorError) in try x.greaterOrEqual(y) },
        { $0 >= $1 }
      ),
      ("equal", { (x, y) throws(TensorError) in try x.equal(y) }, { $0 == $1 }),
      ("not_equal", { (x, y) throws(TensorError) in try x.notEqual(y) }, { $0 != $1 }),
    ]
    return table.flatMap { name, run, holds in
      function2(name, .exact, gradient: false, run, { holds($0, $1) ? 1 : 0 })
    } + [
      OperationCase(
        .pointwise, "select",
        inputs: [
          CaseInput([91], .repeating([0, 1, -0, .nan, -3, 0, .infinity])), [91], [91],
        ],
        tolerance: .exact, differentiable: [1, 2],
        run: { (x) throws(TensorError) in try x[0].select(x[1], x[2]) },
        oracle: { x in x[0].indices.map { x[0][$0] == 0 ? x[2][$0] : x[1][$0] } })
    ]
  }()

  /// Several functions in one generated kernel; integers; six inputs.
  private static let formulas: [OperationCase] = [
    OperationCase(
      .pointwise, "formula_multiply_add", inputs: [[1031], [1031], [1031]], tolerance: .rounding,
      magnitude: .terms, differentiable: [0, 1, 2],
      run: { (t) throws(TensorError) in try pointwise(.x * .y + .z, [t[0], t[1], t[2]]) },
      oracle: { t in t[0].indices.map { t[0][$0] * t[1][$0] + t[2][$0] } }),
    OperationCase(
      .pointwise, "formula_damped_wave", inputs: [[333], [333]], tolerance: .transcendental,
      magnitude: .largest, differentiable: [0, 1],
      run: { (t) throws(TensorError) in
        try pointwise((-(.x * .x)).exp() * (.y * 2).tanh() / (1 + .x.abs()), [t[0], t[1]])
      },
      oracle: { t in
        t[0].indices.map { exp(-t[0][$0] * t[0][$0]) * tanh(t[1][$0] * 2) / (1 + abs(t[0][$0])) }
      }),
    OperationCase(
      .pointwise, "formula_six_inputs", inputs: [[65], [65], [65], [65], [65], [65]],
      tolerance: .rounding, magnitude: .terms, differentiable: [0, 5],
      run: { (t) throws(TensorError) in
        let formula: Expression = .x * .y + .z * .input(3) + .input(4) * .input(5)
        return try pointwise(formula, t.tensors)
      },
      oracle: { t in
        t[0].indices.map { i in t[0][i] * t[1][i] + t[2][i] * t[3][i] + t[4][i] * t[5][i] }
      }),
    OperationCase(
      .pointwise, "formula_bytes", inputs: [CaseInput([5, 28, 28], .bytes)], tolerance: .rounding,
      magnitude: .largest,
      run: { (t) throws(TensorError) in try pointwise(.x * 0.0078125 - 1, [t[0]]) },
      oracle: { $0[0].map { $0 * 0.0078125 - 1 } }),
    OperationCase(
      .pointwise, "formula_integers",
      inputs: [CaseInput([45], .integers([0, 1, -7, 1_000_000, 9])), [45]], tolerance: .rounding,
      differentiable: [1],
      run: { (t) throws(TensorError) in try pointwise(.x * .y, [t[0], t[1]]) },
      oracle: { t in t[0].indices.map { t[0][$0] * t[1][$0] } }),
    OperationCase(
      .pointwise, "formula_nested_select", inputs: [[257], [257]], tolerance: .rounding,
      differentiable: [0, 1],
      run: { (t) throws(TensorError) in
        try pointwise((.x > 0).select((.y > 1).select(.y, .x * .y), 0.5 * .x), [t[0], t[1]])
      },
      oracle: { t in
        t[0].indices.map { i in
          t[0][i] > 0 ? (t[1][i] > 1 ? t[1][i] : t[0][i] * t[1][i]) : 0.5 * t[0][i]
        }
      }),
    OperationCase(
      .pointwise, "formula_one_tensor_twice", inputs: [[65]], tolerance: .rounding,
      differentiable: [0],
      run: { (t) throws(TensorError) in try t[0] * t[0] * t[0] },
      oracle: { $0[0].map { $0 * $0 * $0 } }),
  ]

  private static let large: [OperationCase] = [
    OperationCase(
      .pointwise, "multiply_add", inputs: [[4096, 4096], [4096, 4096]], tolerance: .rounding,
      work: .init(flops: 2 << 24, bytes: 12 << 24),
      run: { (t) throws(TensorError) in try pointwise(.x * 0.5 + .y, [t[0], t[1]]) },
      oracle: { t in t[0].indices.map { t[0][$0] * 0.5 + t[1][$0] } }),
    OperationCase(
      .pointwise, "gelu", inputs: [[4096, 4096]], tolerance: .transcendental,
      work: .init(flops: 4 << 24, bytes: 8 << 24),
      run: { (t) throws(TensorError) in try t[0].gelu() },
      oracle: { $0[0].map { 0.5 * $0 * (1 + erf($0 * 0.5.squareRoot())) } }),
  ]
}

extension String {
  /// This text with some characters replaced, for labels that are made of numbers.
  func replacingCharacters(_ table: [Character: String]) -> String {
    reduce(into: "") { $0 += table[$1] ?? String($1) }
  }
}
