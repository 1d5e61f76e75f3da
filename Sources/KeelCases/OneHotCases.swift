internal import KeelAutograd
internal import KeelBackend

/// Labels as rows.
enum OneHotCases {
  static let all: [OperationCase] = [
    check("ten_classes", [33], .labels(10), 10),
    check("two_axes", [4, 5], .labels(7), 7),
    check("one_class", [3], .integers([0]), 1),
    check("outside_gives_zeros", [6], .integers([0, -1, 3, 4, 2_000_000_000, 2]), 4),
    check("thousand_classes", [17], .labels(1000), 1000),
  ]

  private static func check(
    _ label: String, _ shape: Shape, _ fill: CaseInput.Fill, _ classes: Int
  ) -> OperationCase {
    OperationCase(
      .oneHot, label, inputs: [CaseInput(shape, fill)], tolerance: .exact,
      run: { (t) throws(TensorError) in try t[0].oneHot(classes: classes) },
      oracle: { t in
        var result: [Double] = []
        for index in t[0] {
          for c in 0..<classes { result.append(index == Double(c) ? 1 : 0) }
        }
        return result
      })
  }
}
