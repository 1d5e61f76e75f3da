internal import Glibc

/// How far a device's float32 results may lie from the reference device's, by the condition of the
/// computation: how much its result moves when its operands move by a rounding.
///
/// The call is made on this "device", which computes a bound where the others compute the result:
///
/// - what is linear in each operand (products, convolutions, sums, averages): u times (a number
///   that grows with the logarithm of the terms) times the same operation on absolute values;
/// - formulas: a running error analysis of the formula at the element (``ExpressionError``);
/// - everything else: what the result moves by when one operand after the other is moved by 4 u,
///   with random signs (and of sums over rows once more, all up), times 16, and 64 u of the element
///   itself, with u = 2^-24. This estimate needs no knowledge of the operation, so it holds for
///   those that are added later. Random signs show what cancels inside, one sign what adds up.
///
/// Every bound begins with what costs nothing, and stops where that explains all that was seen.
// Safe: made, used and dropped within one call on one thread.
final class ShadowTolerance: InterceptingBackend, @unchecked Sendable {
  let inner: any Backend
  private let before: ShadowCall
  let suspects: [ShadowSuspects]
  private let measure: Measure
  /// What each suspect of each output may differ by.
  var result: [[Double]]
  /// Whether elements may be computed together in tiles (``Convolution2DGeometry``): each is then
  /// as wrong as the largest terms allow, and what is not finite may spread.
  var sharesTiles = false

  /// The relative error of one rounding.
  static let unit = 0x1p-24
  /// Devices may flush what is smaller to zero.
  static let smallest = Double(Float.leastNormalMagnitude)
  /// What an element may differ by, in units of ``unit``, whatever its operation.
  static let element = 64.0

  init(_ before: ShadowCall, suspects: [ShadowSuspects], measure: Measure) {
    inner = before.device
    self.before = before
    self.suspects = suspects
    self.measure = measure
    result = suspects.map { [Double](repeating: 0, count: $0.indices.count) }
  }

  /// What the results of a method are measured by.
  enum Measure {
    /// The contract promises the same bits on every device.
    case bits
    /// Each element by itself: an array that holds flags beside norms of any size.
    case element
    /// Each element, and the largest of the output.
    case output
  }

  static func measure(_ operation: OperationName, _ method: String) -> Measure {
    switch operation {
    case .convert, .argmax, .fill, .stridedCopy, .oneHot, .random, .dropout, .stepControl,
      .gradientNoise:
      .bits
    case .pooling2D: method == "maxPooling2D" ? .bits : .output
    case .gather: method == "gather" ? .bits : .output
    case .gradientClip: method == "clipCoefficients" ? .element : .bits
    default: .output
    }
  }

  /// The error allowed for each suspect of each output; infinite where anything may come out, NaN
  /// never.
  func allowed(_ operation: OperationName, _ body: DeviceCall) throws(DeviceError) -> [[Double]] {
    // No method of this "device" writes to the arrays it gets.
    if measure != .bits { try body(self, before.inputs, before.outputs) }
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
      // Their gradients are sums over all rows, in which large terms may cancel.
      let addsUp = operation == .biasActivation || operation == .batchNormalization
      try setMoved(floors, addsUp: addsUp, body)
      if operation == .batchNormalization { excuseKinds() }
    }
  }

  /// The size of what is cancelled inside an operation, which its operands do not show: 1 - p is
  /// wrong by a rounding of 1 however small it is.
  private func floor(
    _ method: String, _ inputs: [NDArray], _ output: Int
  ) throws(DeviceError) -> Double {
    switch method.prefix(while: { $0 != "(" }) {
    case "softmaxCrossEntropy", "softmaxCrossEntropyMean", "logSoftmax": return 1
    case "softmaxCrossEntropyGradient":
      return try inner.withElements(inputs[3]) { (values: UnsafeBufferPointer<Float>) in
        Double(values.reduce(Float(0)) { $1.isFinite ? max($0, abs($1)) : $0 })
      }
    default: return Double(suspects[output].largest) / 16
    }
  }

  private func setTerms(_ body: DeviceCall) throws(DeviceError) {
    setElements()
    if isExplained { return }
    let absolute = try before.changing { _, values in
      for index in 0..<values.count { values[index] = abs(values[index]) }
    }
    try body(inner, absolute.inputs, absolute.outputs)
    let bound = Self.sumBound(of: before.inputs.map(\.count).max() ?? 1)
    for (output, found) in suspects.enumerated() where !found.indices.isEmpty {
      var scales = try elements(absolute.outputs[output], found.indices).map(Double.init)
      if sharesTiles {
        let largest = try inner.withElements(absolute.outputs[output]) {
          (values: UnsafeBufferPointer<Float>) in
          values.reduce(Float(0)) { $1.isFinite ? max($0, $1) : $0 }
        }
        scales = scales.map { $0.isFinite ? Double(largest) : $0 }
        if try !hasFiniteInputs() { excuseSpreading(output) }
      }
      // Terms beyond the range of float32 excuse any result, but not where an operand is infinite
      // or not a number: every device must then give the same.
      var excuses = false
      if scales.contains(.infinity) { excuses = try hasFiniteInputs() }
      for (place, scale) in scales.enumerated() where scale.isFinite || (scale > 0 && excuses) {
        result[output][place] += bound * scale * Self.unit
      }
    }
  }

  /// Allows another kind of what is not finite: a mean over an infinity is infinite or no number,
  /// as the order of its sum has it.
  private func excuseKinds() {
    for (output, found) in suspects.enumerated() {
      for place in found.indices.indices
      where !found.expected[place].isFinite && !found.got[place].isFinite {
        result[output][place] = .infinity
      }
    }
  }

  /// Allows what is not finite to be in more places than the reference has it, never in fewer.
  private func excuseSpreading(_ output: Int) {
    let found = suspects[output]
    for place in found.indices.indices where !found.got[place].isFinite {
      result[output][place] = .infinity
    }
  }

  /// The part of every bound that needs no computation: so much of the element, and of what is
  /// cancelled inside.
  private func setElements(_ floors: [Double]? = nil) {
    for (output, found) in suspects.enumerated() {
      let floor = floors?[output] ?? 0
      result[output] = found.expected.map { value in
        value.isFinite ? Self.element * Self.unit * (abs(Double(value)) + floor) : 0
      }
    }
  }

  /// Whether the bounds so far allow every suspect.
  private var isExplained: Bool {
    zip(suspects, result).allSatisfy { found, bounds in
      bounds.indices.allSatisfy { place in
        let error = abs(Double(found.got[place]) - Double(found.expected[place]))
        return error - Self.smallest <= bounds[place]
      }
    }
  }

  /// The error of a sum of so many terms, in units of ``unit`` and of the terms' sum, on both
  /// devices together: trees of sums over parts.
  static func sumBound(of count: Int) -> Double { 2 * (8 + 2 * log2(Double(max(count, 2)))) }

  private func hasFiniteInputs() throws(DeviceError) -> Bool {
    for array in before.inputs where array.dtype == .float32 {
      let isFinite = try inner.withElements(array) { (values: UnsafeBufferPointer<Float>) in
        values.allSatisfy(\.isFinite)
      }
      if !isFinite { return false }
    }
    return true
  }

  /// - Parameters:
  ///   - floors: what is cancelled inside, for each output.
  ///   - addsUp: an output is a sum over many elements: operands are moved all up too.
  ///   - holdsCodes: operands hold codes and counts among their numbers. Whole numbers are then
  ///     left alone: a rounding must not make another code of them.
  ///   - fixed: an array that holds copies alone, and is not moved.
  func setMoved(
    _ floors: [Double], addsUp: Bool = false, holdsCodes: Bool = false, fixed: NDArray? = nil,
    _ body: DeviceCall
  ) throws(DeviceError) {
    setElements(floors)
    for hasRandomSigns in addsUp ? [true, false] : [true] {
      for (moved, array) in before.distinctNumbers.enumerated() {
        if isExplained { return }
        if let fixed, fixed.isSameMemory(as: array) { continue }
        let call = try before.changing(where: { $0 == moved }) { array, values in
          for index in 0..<values.count {
            let value = values[index]
            if holdsCodes, value == value.rounded() { continue }
            let isUp = hasRandomSigns ? Self.sign(index, array) : value > 0
            values[index] *= isUp ? 1 + 0x1p-22 : 1 - 0x1p-22
          }
        }
        try body(inner, call.inputs, call.outputs)
        try addDistances(call)
      }
    }
  }

  private func addDistances(_ call: ShadowCall) throws(DeviceError) {
    for (output, found) in suspects.enumerated() where !found.indices.isEmpty {
      let values = try elements(call.outputs[output], found.indices)
      for (place, value) in values.enumerated() {
        result[output][place] += 16 * Self.distance(value, found.expected[place])
      }
    }
  }

  /// Some elements of an array on the reference device, as float32.
  func elements(_ array: NDArray, _ indices: [Int]) throws(DeviceError) -> [Float] {
    switch array.dtype {
    case .float32:
      return try inner.withElements(array) { (values: UnsafeBufferPointer<Float>) in
        indices.map { values[$0] }
      }
    case .int32:
      return try inner.withElements(array) { (values: UnsafeBufferPointer<Int32>) in
        indices.map { Float(values[$0]) }
      }
    case .uint8:
      return try inner.withElements(array) { (values: UnsafeBufferPointer<UInt8>) in
        indices.map { Float(values[$0]) }
      }
    case .float16, .bfloat16:
      let values: [Float] = try inner.scalars(array)
      return indices.map { values[$0] }
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
