/// How the results of a launch differ from those of the reference device.
struct ShadowComparison {
  /// The element that differs most, of those that differ too much; nil if none does.
  private(set) var worst: Difference?
  /// How many elements differ too much.
  private(set) var wrongCount = 0

  struct Difference {
    var output: Int
    var index: Int
    var got: String
    var expected: String
    var ulps: Double?
    /// Infinite where the kinds of number differ.
    var severity: Double
    var scaledError: Double? { severity.isFinite ? severity : nil }
  }

  /// - Parameters:
  ///   - before: the arrays as they were before the call, on the reference device.
  ///   - expected: the outputs on the reference device.
  ///   - got: copies there of what the device under watch wrote.
  init(
    _ operation: OperationName, method: String, before: ShadowCall, expected: [NDArray],
    got: [NDArray], _ body: DeviceCall
  ) throws(DeviceError) {
    let measure = ShadowTolerance.measure(operation, method)
    let device = before.device
    var suspects: [ShadowSuspects] = []
    for (output, (right, value)) in zip(expected, got).enumerated() {
      suspects.append(ShadowSuspects())
      guard right.count > 0 else { continue }
      switch right.dtype {
      case .float32:
        suspects[output] = try Self.looking(device, right, value) {
          ShadowSuspects(expected: $0, got: $1, measure: measure)
        }
      case .int32: try compareExactly(output, device, right, value, as: Int32.self)
      case .uint8: try compareExactly(output, device, right, value, as: UInt8.self)
      case .float16, .bfloat16:
        try compareExactly(output, device, right.bytes, value.bytes, as: UInt8.self)
      }
    }
    guard suspects.contains(where: { !$0.indices.isEmpty }) else { return }
    let tolerance = ShadowTolerance(before, suspects: suspects, measure: measure)
    let allowed = try tolerance.allowed(operation, body)
    for (output, found) in suspects.enumerated() {
      for place in found.indices.indices {
        judge(
          output, found.indices[place], found.expected[place], found.got[place],
          allowed: allowed[output][place])
      }
    }
  }

  /// Looks at the elements of two arrays together.
  private static func looking<Scalar: DeviceScalar, Result>(
    _ device: any Backend, _ first: NDArray, _ second: NDArray,
    _ body: (UnsafeBufferPointer<Scalar>, UnsafeBufferPointer<Scalar>) -> Result
  ) throws(DeviceError) -> Result {
    let result = try device.withElements(first, as: Scalar.self) { first in
      Swift.Result { () throws(DeviceError) in
        try device.withElements(second, as: Scalar.self) { body(first, $0) }
      }
    }
    return try result.get()
  }

  private mutating func compareExactly<Scalar: DeviceScalar & Equatable>(
    _ output: Int, _ device: any Backend, _ expected: NDArray, _ got: NDArray,
    as type: Scalar.Type
  ) throws(DeviceError) {
    let wrong = try Self.looking(device, expected, got) {
      (expected: UnsafeBufferPointer<Scalar>, got: UnsafeBufferPointer<Scalar>) in
      var (first, count): (Difference?, Int) = (nil, 0)
      for index in expected.indices where expected[index] != got[index] {
        count += 1
        guard first == nil else { continue }
        first = Difference(
          output: output, index: index, got: "\(got[index])", expected: "\(expected[index])",
          severity: .infinity)
      }
      return (first: first, count: count)
    }
    guard let first = wrong.first else { return }
    note(first)
    wrongCount += wrong.count - 1
  }

  private mutating func judge(
    _ output: Int, _ index: Int, _ expected: Float, _ got: Float, allowed: Double
  ) {
    var difference = Difference(
      output: output, index: index, got: "\(got)", expected: "\(expected)", severity: .infinity)
    if allowed == .infinity { return }
    if expected.isFinite, got.isFinite {
      let error = abs(Double(got) - Double(expected)) - ShadowTolerance.smallest
      guard error > allowed else { return }
      difference.severity = error / allowed
      difference.ulps = Self.ulps(expected, got)
    } else if got.isInfinite, expected.isFinite, allowed > 0 {
      // At the end of the range a rounding decides between a number and infinity.
      let end = got > 0 ? Float.greatestFiniteMagnitude : -Float.greatestFiniteMagnitude
      if abs(Double(end) - Double(expected)) <= allowed { return }
    }
    note(difference)
  }

  private mutating func note(_ difference: Difference) {
    wrongCount += 1
    if let worst, worst.severity >= difference.severity { return }
    worst = difference
  }

  /// How many float32 numbers lie between two.
  private static func ulps(_ left: Float, _ right: Float) -> Double {
    func position(_ value: Float) -> Int64 {
      let bits = Int64(value.bitPattern & 0x7FFF_FFFF)
      return value.sign == .minus ? -bits : bits
    }
    return Double(abs(position(left) - position(right)))
  }
}
