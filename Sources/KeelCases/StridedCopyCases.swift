internal import KeelAutograd
internal import KeelBackend

/// Movement: transpose, slice, pad, concatenate, broadcast; all exact.
enum StridedCopyCases {
  static let all = transposes + slices + pads + concatenations + others

  private static func movement(
    _ label: String, _ shape: Shape, to target: Shape, fill: CaseInput.Fill = .uniform(-2, 2),
    gradient: Bool = true, isLarge: Bool = false,
    run: @escaping @Sendable (Tensor) throws(TensorError) -> Tensor,
    source: @escaping @Sendable ([Int]) -> [Int]?, otherwise: Double = 0
  ) -> OperationCase {
    OperationCase(
      .stridedCopy, label, inputs: [CaseInput(shape, fill)], tolerance: .exact,
      differentiable: gradient && !isLarge ? [0] : [],
      work: isLarge ? .init(bytes: 4 * (shape.count + target.count)) : nil,
      run: { (t) throws(TensorError) in try run(t[0]) },
      oracle: { t in
        (0..<target.count).map { flat in
          guard let from = source(Broadcast.coordinates(flat, in: target)) else {
            return otherwise
          }
          return t[0][Broadcast.place(from, in: shape)]
        }
      })
  }

  private static func transpose(
    _ label: String, _ shape: Shape, _ order: [Int], gradient: Bool = true, isLarge: Bool = false
  ) -> OperationCase {
    movement(
      "transpose_\(label)", shape, to: Shape(order.map { shape[$0] }), gradient: gradient,
      isLarge: isLarge, run: { (x) throws(TensorError) in try x.transposed(order) },
      source: { coordinates in
        var from = coordinates
        for (place, axis) in order.enumerated() { from[axis] = coordinates[place] }
        return from
      })
  }

  private static let transposes: [OperationCase] = [
    transpose("matrix", [17, 33], [1, 0]),
    transpose("matrix_odd", [1, 9], [1, 0]),
    transpose("matrix_wide", [130, 259], [1, 0], gradient: false),
    transpose("images", [2, 5, 6, 3], [0, 3, 1, 2]),
    transpose("images_back", [2, 3, 5, 6], [0, 2, 3, 1]),
    transpose("reversed", [3, 4, 5, 6], [3, 2, 1, 0]),
    transpose("batch", [5, 7, 3], [0, 2, 1]),
    transpose("identity", [5, 7], [0, 1]),
    transpose("rank8", [2, 1, 3, 2, 1, 2, 3, 2], [7, 0, 6, 1, 5, 2, 4, 3]),
    transpose("matrix", [4096, 4096], [1, 0], isLarge: true),
    movement(
      "transpose_default", [5, 9], to: [9, 5],
      run: { (x) throws(TensorError) in try x.transposed() }, source: { [$0[1], $0[0]] }),
  ]

  private static let slices: [OperationCase] = [
    movement(
      "slice_rows", [9, 7], to: [4, 7],
      run: { (x) throws(TensorError) in try x.sliced([3..<7, 0..<7]) },
      source: { [$0[0] + 3, $0[1]] }),
    movement(
      "slice_columns", [9, 7], to: [9, 2],
      run: { (x) throws(TensorError) in try x.sliced([0..<9, 4..<6]) },
      source: { [$0[0], $0[1] + 4] }),
    movement(
      "slice_steps", [10, 11, 3], to: [4, 5, 2],
      run: { (x) throws(TensorError) in
        try x.sliced([0..<10, 1..<11, 0..<3], steps: [3, 2, 2])
      },
      source: { [3 * $0[0], 1 + 2 * $0[1], 2 * $0[2]] }),
    movement(
      "slice_one_element", [5, 5], to: [1, 1],
      run: { (x) throws(TensorError) in try x.sliced([4..<5, 2..<3]) }, source: { _ in [4, 2] }),
  ]

  private static let pads: [OperationCase] = [
    movement(
      "pad_matrix", [5, 6], to: [8, 10],
      run: { (x) throws(TensorError) in
        try x.padded([(before: 1, after: 2), (before: 0, after: 4)])
      },
      source: { (1..<6).contains($0[0]) && $0[1] < 6 ? [$0[0] - 1, $0[1]] : nil }),
    movement(
      "pad_value", [3, 4], to: [3, 7], fill: .uniform(-2, 2),
      run: { (x) throws(TensorError) in
        try x.padded([(before: 0, after: 0), (before: 3, after: 0)], value: -1.5)
      },
      source: { $0[1] >= 3 ? [$0[0], $0[1] - 3] : nil }, otherwise: -1.5),
    movement(
      "pad_images", [2, 4, 4, 3], to: [2, 6, 7, 3],
      run: { (x) throws(TensorError) in
        try x.padded([
          (before: 0, after: 0), (before: 1, after: 1), (before: 1, after: 2),
          (before: 0, after: 0),
        ])
      },
      source: {
        (1..<5).contains($0[1]) && (1..<5).contains($0[2])
          ? [$0[0], $0[1] - 1, $0[2] - 1, $0[3]] : nil
      }),
  ]

  private static func concatenation(
    _ label: String, _ shapes: [Shape], axis: Int
  ) -> OperationCase {
    OperationCase(
      .stridedCopy, "concatenate_\(label)", inputs: shapes.map { CaseInput($0) },
      tolerance: .exact, differentiable: Array(shapes.indices),
      run: { (t) throws(TensorError) in try Tensor.concatenate(t.tensors, axis: axis) },
      oracle: { t in
        let axis = axis < 0 ? axis + shapes[0].rank : axis
        let outer = shapes[0].extents[..<axis].reduce(1, *)
        var result: [Double] = []
        for o in 0..<outer {
          for (shape, values) in zip(shapes, t) {
            let run = shape.count / outer
            result += values[(o * run)..<((o + 1) * run)]
          }
        }
        return result
      })
  }

  private static let concatenations: [OperationCase] = [
    concatenation("first_axis", [[3, 5], [1, 5], [4, 5]], axis: 0),
    concatenation("last_axis", [[6, 3], [6, 8]], axis: 1),
    concatenation("last_axis_negative", [[2, 3, 4], [2, 3, 1]], axis: -1),
    concatenation("channels", [[2, 4, 4, 3], [2, 4, 4, 5], [2, 4, 4, 1]], axis: 3),
    concatenation("pieces", [[5, 12], [5, 31], [5, 7], [5, 2]], axis: 1),
    concatenation("one", [[4, 4]], axis: 0),
  ]

  private static let others: [OperationCase] = [
    movement(
      "reshape", [4, 6], to: [2, 3, 4],
      run: { (x) throws(TensorError) in try x.reshaped([2, 3, 4]) },
      source: { c in
        let flat = (c[0] * 3 + c[1]) * 4 + c[2]
        return [flat / 6, flat % 6]
      }),
    movement(
      "flatten", [3, 2, 5], to: [3, 10],
      run: { (x) throws(TensorError) in try x.flattened() },
      source: { [$0[0], $0[1] / 5, $0[1] % 5] }),
    movement(
      "broadcast", [5, 1], to: [3, 5, 4],
      run: { (x) throws(TensorError) in try x.broadcast(to: [3, 5, 4]) },
      source: { [$0[1], 0] }),
    // Destination-given: what lies outside the pattern stays, steps may run backwards.
    OperationCase(
      .stridedCopy, "direct_backwards_into_every_second", inputs: [[9], [30]], tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.stridedCopy(
            t[0].value, StridedPattern(offset: 8, strides: [-1]), into: t[1].value,
            StridedPattern(offset: 3, strides: [2]), extents: [9])
        }
        return [t[1]]
      },
      oracles: { t in
        var result = t[1]
        for i in 0..<9 { result[3 + 2 * i] = t[0][8 - i] }
        return [result]
      }),
    directCopy("direct_int32", CaseInput([6, 7], .labels(1000)), .int32),
    directCopy("direct_uint8", CaseInput([6, 7], .bytes), .uint8),
  ]

  /// Transposes integers: the copy must not care what the elements mean.
  private static func directCopy(
    _ label: String, _ input: CaseInput, _ dtype: DType
  ) -> OperationCase {
    OperationCase(
      .stridedCopy, label, inputs: [input], tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        try t.direct([[7, 6]], dtype) { (backend, out) throws(DeviceError) in
          try backend.stridedCopy(
            t[0].value, StridedPattern(strides: [1, 7]), into: out[0],
            StridedPattern(dense: [7, 6]), extents: [7, 6])
        }
      },
      oracles: { t in [(0..<42).map { t[0][$0 % 6 * 7 + $0 / 6] }] })
  }
}
