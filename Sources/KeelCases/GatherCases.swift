internal import KeelAutograd
internal import KeelBackend

/// Rows picked by index.
enum GatherCases {
  static let all: [OperationCase] = [
    check("rows", [10, 7], .labels(10), [5], axis: 0),
    check("rows_repeated", [4, 33], .integers([1, 1, 3, 1]), [9], axis: 0),
    check("middle_axis", [3, 6, 5], .labels(6), [4], axis: 1),
    check("last_axis", [5, 11], .labels(11), [20], axis: 1),
    check("one", [1, 1], .integers([0]), [1], axis: 0),
    check("indices_of_two_axes", [9, 4], .labels(9), [2, 3], axis: 0),
    check("outside_gives_zero", [5, 3], .integers([4, -1, 0, 5, 1_000_000]), [5], axis: 0),
    check("embedding", [1000, 16], .labels(1000), [257], axis: 0),
    OperationCase(
      .gather, "embedding", inputs: [[50_000, 256], CaseInput([8192], .labels(50_000))],
      tolerance: .exact, work: .init(bytes: 8192 * 256 * 8),
      run: { (t) throws(TensorError) in try t[0].gather(t[1]) },
      oracle: { t in gather(t[0], t[1], outer: 1, extent: 50_000, inner: 256) }),
  ]

  private static func check(
    _ label: String, _ shape: Shape, _ indices: CaseInput.Fill, _ indexShape: Shape, axis: Int
  ) -> OperationCase {
    let outer = shape.extents[..<axis].reduce(1, *)
    let inner = shape.extents[(axis + 1)...].reduce(1, *)
    return OperationCase(
      .gather, label, inputs: [CaseInput(shape), CaseInput(indexShape, indices)],
      tolerance: .exact, differentiable: [0],
      run: { (t) throws(TensorError) in try t[0].gather(t[1], axis: axis) },
      oracle: { gather($0[0], $0[1], outer: outer, extent: shape[axis], inner: inner) })
  }

  private static func gather(
    _ x: [Double], _ indices: [Double], outer: Int, extent: Int, inner: Int
  ) -> [Double] {
    var result: [Double] = []
    for o in 0..<outer {
      for index in indices {
        for i in 0..<inner {
          let isInside = index >= 0 && index < Double(extent)
          result.append(isInside ? x[(o * extent + Int(index)) * inner + i] : 0)
        }
      }
    }
    return result
  }
}
