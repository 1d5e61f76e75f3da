internal import KeelAutograd
internal import KeelBackend

/// Shapes: every pattern of broadcasting, sizes around the widths of vectors and groups, nothing.
enum PointwiseBroadcastCases {
  static let all = patterns + sizes + three

  private static func pair(
    _ label: String, _ left: Shape, _ right: Shape, gradient: Bool = true
  ) -> OperationCase {
    OperationCase(
      .pointwise, label, inputs: [CaseInput(left), CaseInput(right)],
      // The gradient of a stretched operand is a sum.
      tolerance: .rounding, magnitude: .terms, differentiable: gradient ? [0, 1] : [],
      run: { (t) throws(TensorError) in try t[0] * t[1] + t[1] },
      oracle: { t in
        guard let target = left.broadcast(with: right) else { return [] }
        let (first, second) = (
          Broadcast.places(of: left, in: target), Broadcast.places(of: right, in: target)
        )
        return (0..<target.count).map { t[0][first[$0]] * t[1][second[$0]] + t[1][second[$0]] }
      })
  }

  private static let patterns: [OperationCase] = [
    pair("broadcast_row", [9, 17], [17]),
    pair("broadcast_row_wide", [3, 1025], [1025]),
    pair("broadcast_column", [9, 17], [9, 1]),
    pair("broadcast_outer", [4, 5, 6], [4, 1, 1]),
    pair("broadcast_middle", [4, 5, 6], [5, 1]),
    pair("broadcast_middle_kept", [4, 5, 6], [4, 1, 6]),
    pair("broadcast_scalar", [4, 5, 6], .scalar),
    pair("broadcast_one", [33], [1]),
    pair("broadcast_left", [6], [3, 4, 6]),
    pair("broadcast_left_scalar", .scalar, [7, 3]),
    pair("broadcast_both", [4, 1, 6], [1, 5, 1]),
    pair("broadcast_row_times_column", [1, 19], [23, 1]),
    pair("broadcast_rank4_channels", [2, 5, 7, 3], [3]),
    pair("broadcast_rank4_mixed", [2, 1, 7, 1], [5, 1, 3]),
    pair("broadcast_rank8", [2, 1, 2, 1, 3, 1, 2, 1], [1, 2, 1, 2, 1, 2, 1, 3]),
    pair("scalars", .scalar, .scalar),
  ]

  private static let sizes: [OperationCase] =
    [1, 2, 15, 16, 17, 255, 4099].map { pair("size_\($0)", [$0], [$0]) } + [
      pair("size_131101", [131101], [131101], gradient: false),
      pair("size_0", [0, 3], [3], gradient: false),
    ]

  private static let three: [OperationCase] = [
    OperationCase(
      .pointwise, "broadcast_three", inputs: [[5, 1, 4], [6, 1], [4]], tolerance: .rounding,
      magnitude: .terms, differentiable: [0, 1, 2],
      run: { (t) throws(TensorError) in try pointwise(.x * .y + .z, t.tensors) },
      oracle: { t in
        let target: Shape = [5, 6, 4]
        let a = Broadcast.places(of: [5, 1, 4], in: target)
        let b = Broadcast.places(of: [6, 1], in: target)
        let c = Broadcast.places(of: [4], in: target)
        return (0..<target.count).map { t[0][a[$0]] * t[1][b[$0]] + t[2][c[$0]] }
      })
  ]
}
