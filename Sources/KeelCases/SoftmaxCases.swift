internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Probabilities of rows, and their logarithms.
enum SoftmaxCases {
  static let all: [OperationCase] = [false, true].flatMap { isLogarithm in
    [
      check("rows7_columns33", [7, 33], isLogarithm),
      check("rows33_columns10", [33, 10], isLogarithm),
      check("one_column", [9, 1], isLogarithm, gradient: false),
      check("one_row", [1, 5], isLogarithm),
      check("rank3", [2, 3, 7], isLogarithm),
      check("columns1000", [5, 1000], isLogarithm, gradient: false),
      check("rows1025_columns3", [1025, 3], isLogarithm, gradient: false),
      check("large_logits", [9, 17], isLogarithm, .uniform(-500, 500), gradient: false),
      check("huge_logits", [4, 9], isLogarithm, .sprinkled([1e30, -1e30]), gradient: false),
      check("equal_logits", [4, 9], isLogarithm, .repeating([7]), gradient: false),
      check("nan", [6, 9], isLogarithm, .sprinkled([.nan, 1, 1]), gradient: false),
      check("minus_infinity", [6, 9], isLogarithm, .sprinkled([-.infinity]), gradient: false),
      check("rows8192_columns1000", [8192, 1000], isLogarithm, isLarge: true),
    ]
  }

  /// Each row's result and magnitude. The difference to the maximum is rounded once, and the
  /// exponential passes that absolute error on as a relative one.
  private static func rows(
    _ x: [Double], _ columns: Int, _ isLogarithm: Bool
  ) -> (values: [Double], magnitudes: [Double]) {
    var (values, magnitudes) = (x, x)
    for start in stride(from: 0, to: x.count, by: columns) {
      var largest = -Double.infinity
      for c in 0..<columns {
        let value = x[start + c]
        if value.isNaN || value > largest { largest = value }
        if largest.isNaN { break }
      }
      var sum = 0.0
      for c in 0..<columns { sum += exp(x[start + c] - largest) }
      for c in 0..<columns {
        let difference = x[start + c] - largest
        if isLogarithm {
          values[start + c] = difference - log(sum)
          magnitudes[start + c] = abs(difference) + log(sum) + 1
        } else {
          values[start + c] = exp(difference) / sum
          magnitudes[start + c] = values[start + c] * (1 + min(abs(difference), 1e3))
        }
      }
    }
    return (values, magnitudes)
  }

  private static func check(
    _ label: String, _ shape: Shape, _ isLogarithm: Bool,
    _ fill: CaseInput.Fill = .uniform(-4, 4), gradient: Bool = true, isLarge: Bool = false
  ) -> OperationCase {
    let columns = shape[shape.rank - 1]
    return OperationCase(
      .softmax, isLogarithm ? "log_\(label)" : label, inputs: [CaseInput(shape, fill)],
      tolerance: .transcendentalSum(of: columns),
      magnitude: .given { [rows($0[0], columns, isLogarithm).magnitudes] },
      differentiable: gradient && !isLarge ? [0] : [],
      work: isLarge ? .init(flops: 5 * shape.count, bytes: 8 * shape.count) : nil,
      run: { (t) throws(TensorError) in
        isLogarithm ? try t[0].logSoftmax() : try t[0].softmax()
      },
      oracle: { rows($0[0], columns, isLogarithm).values })
  }
}
