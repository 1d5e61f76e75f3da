internal import KeelAutograd
internal import KeelBackend

/// Constant arrays of every element type.
enum FillCases {
  static let all: [OperationCase] = [
    made("zeros", [3, 5], 0) { (device) throws(TensorError) in
      try Tensor.zeros([3, 5], on: device)
    },
    made("ones", [1025], 1) { (device) throws(TensorError) in
      try Tensor.ones([1025], on: device)
    },
    made("full", [2, 3, 4, 5], 2.5) { (device) throws(TensorError) in
      try Tensor.full([2, 3, 4, 5], 2.5, on: device)
    },
    made("nan", [9], .nan) { (device) throws(TensorError) in
      try Tensor.full([9], .nan, on: device)
    },
    made("minus_infinity", [17], -.infinity) { (device) throws(TensorError) in
      try Tensor.full([17], -.infinity, on: device)
    },
    made("number", .scalar, -0.75) { (device) throws(TensorError) in
      try Tensor(-0.75, on: device)
    },
    direct("int32", [37], .int32, -7),
    direct("uint8", [37], .uint8, 200),
    direct("uint8_one", [1], .uint8, 3),
    direct("float32_131101", [131101], .float32, 0.125),
    direct("float32_1200003", [1_200_003], .float32, -0.125),
    direct("uint8_4200001", [4_200_001], .uint8, 77),
  ]

  private static func made(
    _ label: String, _ shape: Shape, _ value: Double,
    _ run: @escaping @Sendable (Device) throws(TensorError) -> Tensor
  ) -> OperationCase {
    OperationCase(
      .fill, label, inputs: [], tolerance: .exact,
      run: { (t) throws(TensorError) in try run(t.device) },
      oracle: { _ in [Double](repeating: value, count: shape.count) })
  }

  private static func direct(
    _ label: String, _ shape: Shape, _ dtype: DType, _ value: Float
  ) -> OperationCase {
    OperationCase(
      .fill, label, inputs: [], tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        try t.direct([shape], dtype) { (backend, out) throws(DeviceError) in
          try backend.fill(out[0], with: value)
        }
      },
      oracles: { _ in [[Double](repeating: Double(value), count: shape.count)] })
  }
}
