internal import Glibc

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

  /// No more elements than this are judged one by one; those that look worst come first.
  private static let mostSuspects = 4096
  /// What any two devices may differ by, relative to the element, without a closer look…
  private static let harmless = Float(16 * ShadowTolerance.unit)
  /// … and relative to the largest element of the output.
  private static let harmlessOfLargest = Float(4 * ShadowTolerance.unit)

  /// - Parameters:
  ///   - before: the arrays as they were before the call, on the reference device.
  ///   - expected: the outputs on the reference device.
  ///   - got: the outputs on the device under watch.
  init(
    _ operation: OperationName, method: String, before: ShadowCall, expected: [NDArray],
    got: [NDArray], of device: any Backend, _ body: DeviceCall
  ) throws(DeviceError) {
    let isExact = ShadowTolerance.isExact(operation, method)
    var numbers: [(expected: [Float], got: [Float])] = []
    var suspects: [[Int]] = []
    for (output, array) in got.enumerated() {
      numbers.append(([], []))
      suspects.append([])
      guard array.count > 0 else { continue }
      switch array.dtype {
      case .float32:
        let pair: ([Float], [Float]) = (
          try before.device.scalars(expected[output]), try device.scalars(array)
        )
        numbers[output] = pair
        suspects[output] = Self.suspects(pair.0, pair.1, isExact: isExact)
      case .int32:
        compareExactly(
          output, try before.device.scalars(expected[output], as: Int32.self),
          try device.scalars(array))
      case .uint8:
        compareExactly(
          output, try before.device.scalars(expected[output], as: UInt8.self),
          try device.scalars(array))
      }
    }
    guard suspects.contains(where: { !$0.isEmpty }) else { return }
    let tolerance = ShadowTolerance(
      before, expected: numbers.map(\.expected), suspects: suspects, isExact: isExact)
    let allowed = try tolerance.allowed(operation, body)
    for output in suspects.indices {
      for (place, index) in suspects[output].enumerated() {
        judge(
          output, index, numbers[output].expected[index], numbers[output].got[index],
          allowed: allowed[output][place])
      }
    }
  }

  private mutating func compareExactly<Scalar: DeviceScalar & Equatable>(
    _ output: Int, _ expected: [Scalar], _ got: [Scalar]
  ) {
    for index in expected.indices where expected[index] != got[index] {
      note(
        Difference(
          output: output, index: index, got: "\(got[index])", expected: "\(expected[index])",
          severity: .infinity))
    }
  }

  /// The elements that need a closer look, the worst first.
  private static func suspects(_ expected: [Float], _ got: [Float], isExact: Bool) -> [Int] {
    var found: [(index: Int, error: Double)] = []
    var largest: Float = 0
    if !isExact {
      for value in expected where value.isFinite { largest = max(largest, abs(value)) }
    }
    let (relative, absolute) =
      isExact ? (0, 0) : (harmless, harmlessOfLargest * largest + .leastNormalMagnitude)
    expected.withUnsafeBufferPointer { expected in
      got.withUnsafeBufferPointer { got in
        for index in expected.indices {
          let (right, value) = (expected[index], got[index])
          // False with a NaN, and with infinities, which take the closer look.
          let bound = absolute + relative * abs(right)
          if abs(value - right) <= bound, bound.isFinite { continue }
          if right == value || (right.isNaN && value.isNaN) { continue }
          let error = abs(Double(value) - Double(right)) / abs(Double(right))
          found.append((index, error.isNaN ? .infinity : error))
        }
      }
    }
    if found.count > mostSuspects {
      found.sort { ($1.error, $0.index) < ($0.error, $1.index) }
      found.removeLast(found.count - mostSuspects)
    }
    return found.map(\.index)
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
