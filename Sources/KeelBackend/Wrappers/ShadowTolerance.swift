internal import Glibc

/// How far a device's float32 results may lie from the reference device's, by the condition of the
/// computation: how much its result moves when its operands move by a rounding.
///
/// The call is made on this "device", which computes a bound where the others compute the result:
///
/// - what is linear in each operand (products, convolutions, sums, averages): u times (a number
///   that grows with the logarithm of the terms) times the same operation on absolute values;
/// - formulas: a running error analysis of the formula at the element (``ExpressionError``);
/// - everything else: what the result moves by when one operand after the other is moved by 4 u
///   with random signs, times 16, and 64 u of the element itself, with u = 2^-24. This estimate
///   needs no knowledge of the operation, so it holds for those that are added later.
// Safe: made, used and dropped within one call on one thread.
final class ShadowTolerance: InterceptingBackend, @unchecked Sendable {
  let inner: any Backend
  private let before: ShadowCall
  private let expected: [[Float]]
  private let suspects: [[Int]]
  private let isExact: Bool
  private var result: [[Double]]

  /// The relative error of one rounding.
  static let unit = 0x1p-24
  /// Devices may flush what is smaller to zero.
  static let smallest = Double(Float.leastNormalMagnitude)
  /// What an element may differ by, in units of ``unit``, whatever its operation.
  private static let element = 64.0

  init(_ before: ShadowCall, expected: [[Float]], suspects: [[Int]], isExact: Bool) {
    inner = before.device
    self.before = before
    self.expected = expected
    self.suspects = suspects
    self.isExact = isExact
    result = suspects.map { [Double](repeating: 0, count: $0.count) }
  }

  /// Whether the contract promises the same bits on every device.
  static func isExact(_ operation: OperationName, _ method: String) -> Bool {
    switch operation {
    case .argmax, .fill, .stridedCopy, .oneHot, .random, .dropout: true
    case .pooling2D: method == "maxPooling2D"
    case .gather: method == "gather"
    default: false
    }
  }

  /// The error allowed for each suspect of each output; infinite where anything may come out, NaN
  /// never.
  func allowed(_ operation: OperationName, _ body: DeviceCall) throws(DeviceError) -> [[Double]] {
    if isExact { return result }
    let call = try before.copy()
    try body(self, call.inputs, call.outputs)
    return result
  }

  func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError) {
    switch operation {
    case .matmul, .convolution2D, .pooling2D, .reduction, .gather:
      try setTerms(body)
    default:
      let floors = try outputs.indices.map { (output) throws(DeviceError) in
        try floor(method, inputs, output)
      }
      try setMoved(floors, body)
    }
  }

  /// The size of what is cancelled inside an operation, which its operands do not show: 1 - p is
  /// wrong by a rounding of 1 however small it is.
  private func floor(
    _ method: String, _ inputs: [NDArray], _ output: Int
  ) throws(DeviceError) -> Double {
    switch method.prefix(while: { $0 != "(" }) {
    case "softmaxCrossEntropy", "logSoftmax": return 1
    case "softmaxCrossEntropyGradient": return Self.largest(try inner.scalars(inputs[3]))
    default: return Self.largest(expected[output]) / 16
    }
  }

  private static func largest(_ values: [Float]) -> Double {
    Double(values.reduce(Float(0)) { $1.isFinite ? max($0, abs($1)) : $0 })
  }

  private func setTerms(_ body: DeviceCall) throws(DeviceError) {
    let absolute = try before.copy { _, values in
      for index in values.indices { values[index] = abs(values[index]) }
    }
    var isFinite = true
    for array in before.inputs where isFinite && array.dtype == .float32 {
      isFinite = try inner.scalars(array, as: Float.self).allSatisfy(\.isFinite)
    }
    try body(inner, absolute.inputs, absolute.outputs)
    let most = before.inputs.map(\.count).max() ?? 1
    let bound = 2 * (8 + 2 * log2(Double(max(most, 2))))
    for output in suspects.indices where !suspects[output].isEmpty {
      let terms: [Float] = try inner.scalars(absolute.outputs[output])
      for (place, index) in suspects[output].enumerated() {
        let value = expected[output][index]
        let size = value.isFinite ? abs(Double(value)) : 0
        let scale = Double(terms[index])
        // Terms beyond the range of float32 excuse any result, but not where an operand is infinite
        // or not a number: every device must then give the same.
        let excused = scale.isFinite || (scale.isInfinite && isFinite) ? bound * scale : 0
        result[output][place] = (excused + Self.element * size) * Self.unit
      }
    }
  }

  private func setMoved(_ floors: [Double], _ body: DeviceCall) throws(DeviceError) {
    for output in suspects.indices {
      for (place, index) in suspects[output].enumerated() {
        let value = expected[output][index]
        result[output][place] =
          value.isFinite ? Self.element * Self.unit * (abs(Double(value)) + floors[output]) : 0
      }
    }
    for moved in before.distinctNumbers.indices {
      let call = try before.copy { array, values in
        guard array == moved else { return }
        for index in values.indices {
          values[index] *= Self.sign(index, array) ? 1 + 0x1p-22 : 1 - 0x1p-22
        }
      }
      try body(inner, call.inputs, call.outputs)
      for output in suspects.indices where !suspects[output].isEmpty {
        let values: [Float] = try inner.scalars(call.outputs[output])
        for (place, index) in suspects[output].enumerated() {
          result[output][place] += 16 * Self.distance(values[index], expected[output][index])
        }
      }
    }
  }

  /// A random sign: the top bit of a product with an odd constant.
  private static func sign(_ index: Int, _ array: Int) -> Bool {
    var word = UInt64(truncatingIfNeeded: index &* 2 &+ array &* 0x1_0001 &+ 1)
    word = (word ^ (word >> 29)) &* 0x9E37_79B9_7F4A_7C15
    return (word ^ (word << 17)) >> 63 == 1
  }

  private static func distance(_ left: Float, _ right: Float) -> Double {
    if left == right || (left.isNaN && right.isNaN) { return 0 }
    guard left.isFinite, right.isFinite else { return .infinity }
    return abs(Double(left) - Double(right))
  }
}

// Operations whose options decide about their error.
extension ShadowTolerance {
  func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    // The largest and the smallest are numbers of the input: nothing is rounded.
    if kind == .max || kind == .min { return }
    try intercept(.reduction, method: #function, inputs: [x], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.reduce(kind, inputs[0], axes: axes, into: outputs[0])
    }
  }

  // Without the activation: those that products are fused with do not enlarge errors.
  func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    let inputs = [a, b, epilogue.bias].compactMap { $0 }
    try intercept(.matmul, method: #function, inputs: inputs, outputs: [c]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.matmul(
        inputs[0], inputs[1], geometry, Epilogue(bias: inputs.dropFirst(2).first),
        into: outputs[0])
    }
  }

  func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    let inputs = [x, filter, epilogue.bias].compactMap { $0 }
    try intercept(.convolution2D, method: #function, inputs: inputs, outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2D(
        inputs[0], filter: inputs[1], geometry, Epilogue(bias: inputs.dropFirst(2).first),
        into: outputs[0])
    }
  }

  func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    let analysis = ExpressionError(expression)
    var values: [[Float]] = []
    for input in inputs {
      switch input.dtype {
      case .float32: values.append(try inner.scalars(input))
      case .int32: values.append(try inner.scalars(input, as: Int32.self).map(Float.init))
      case .uint8: values.append(try inner.scalars(input, as: UInt8.self).map(Float.init))
      }
    }
    let strides = inputs.map { $0.shape.broadcastStrides(to: out.shape) }
    for (place, index) in suspects[0].enumerated() {
      let operands = inputs.indices.map { input in
        let position = out.shape.position(index, strides: strides[input])
        return Double(values[input][position])
      }
      // Both devices round.
      result[0][place] = 2 * analysis.error(operands)
    }
  }
}

extension Shape {
  /// Where element `index` of this shape, row-major, lies with other strides.
  fileprivate func position(_ index: Int, strides: [Int]) -> Int {
    var (rest, position) = (index, 0)
    for axis in extents.indices.reversed() {
      position += rest % extents[axis] * strides[axis]
      rest /= extents[axis]
    }
    return position
  }
}
