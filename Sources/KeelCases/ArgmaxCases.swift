internal import KeelAutograd
internal import KeelBackend

/// Positions of the largest elements.
enum ArgmaxCases {
  static let all: [OperationCase] = [
    check("last_axis", [33, 10], -1),
    check("first_axis", [10, 33], 0),
    check("middle_axis", [4, 19, 6], 1),
    check("one_row", [1, 1000], 1),
    check("one_column", [50, 1], 1),
    check("vector", [70001], 0),
    check("ties", [20, 9], 1, .repeating([1, 3, 3, 2])),
    check("all_equal", [8, 300], 1, .repeating([0.25])),
    check("zeros_of_both_signs", [6, 5], 1, .repeating([-0, 0, -1])),
    check("nan", [21, 9], 1, .sprinkled([.nan, 5])),
    check("nan_twice", [5, 28], 1, .sprinkled([.nan])),
    check("infinite", [15, 14], 1, .sprinkled([.infinity, -.infinity])),
    check("all_minus_infinity", [3, 20], 1, .repeating([-.infinity])),
  ]

  private static func check(
    _ label: String, _ shape: Shape, _ axis: Int, _ fill: CaseInput.Fill = .uniform(-2, 2)
  ) -> OperationCase {
    let axis = axis < 0 ? axis + shape.rank : axis
    let extent = shape[axis]
    let inner = shape.extents[(axis + 1)...].reduce(1, *)
    return OperationCase(
      .argmax, label, inputs: [CaseInput(shape, fill)], tolerance: .exact,
      run: { (t) throws(TensorError) in try t[0].argmax(axis: axis) },
      oracle: { t in
        var result: [Double] = []
        for outer in 0..<(shape.count / (extent * inner)) {
          for i in 0..<inner {
            var best = 0
            for a in 1..<max(extent, 1) {
              let (new, old) = (
                t[0][(outer * extent + a) * inner + i], t[0][(outer * extent + best) * inner + i]
              )
              if !old.isNaN && (new > old || new.isNaN) { best = a }
            }
            result.append(Double(best))
          }
        }
        return result
      })
  }
}
