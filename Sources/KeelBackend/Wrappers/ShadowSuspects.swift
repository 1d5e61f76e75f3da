internal import Glibc

/// The elements of one output that need a closer look, with the numbers of both devices.
///
/// All others are what any two devices may differ by. Whole outputs are looked through here, so the
/// loops are written for vectors: blocks without a suspect leave after one test.
struct ShadowSuspects {
  private(set) var indices: [Int] = []
  private(set) var expected: [Float] = []
  private(set) var got: [Float] = []
  /// The largest finite magnitude that was expected; 0 where it was not needed.
  private(set) var largest: Float = 0

  /// No more elements than this are judged one by one; those that look worst stay.
  private static let most = 4096
  /// What any two devices may differ by, relative to the element, without a closer look…
  private static let harmless = Float(16 * ShadowTolerance.unit)
  /// … and relative to the largest element of the output.
  private static let harmlessOfLargest = Float(4 * ShadowTolerance.unit)
  private static let block = 256

  /// None.
  init() {}

  init(
    expected: UnsafeBufferPointer<Float>, got: UnsafeBufferPointer<Float>,
    measure: ShadowTolerance.Measure
  ) {
    guard let right = expected.baseAddress, let value = got.baseAddress else { return }
    let count = expected.count
    if memcmp(right, value, 4 * count) == 0 { return }
    var (relative, absolute) = (Float(0), Float(0))
    if measure != .bits {
      largest = Self.largest(right, count)
      relative = Self.harmless
      absolute = .leastNormalMagnitude
      if measure == .output { absolute += Self.harmlessOfLargest * largest }
    }
    var found: [(index: Int, error: Double)] = []
    var start = 0
    while start < count {
      let length = min(Self.block, count - start)
      if Self.isSuspect(right + start, value + start, length, relative, absolute) {
        for index in start..<start + length {
          guard let error = Self.error(right[index], value[index], relative, absolute)
          else { continue }
          found.append((index, error))
        }
      }
      start += length
    }
    if found.count > Self.most {
      found.sort { ($1.error, $0.index) < ($0.error, $1.index) }
      found.removeLast(found.count - Self.most)
    }
    indices = found.map(\.index)
    self.expected = indices.map { right[$0] }
    self.got = indices.map { value[$0] }
  }

  /// As integers magnitudes have the same order; what is not finite is above all numbers.
  private static func largest(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
    let infinity = Int32(bitPattern: Float.infinity.bitPattern)
    var largest: Int32 = 0
    for index in 0..<count {
      let magnitude = Int32(bitPattern: values[index].bitPattern & 0x7FFF_FFFF)
      let finite = magnitude < infinity ? magnitude : 0
      largest = finite > largest ? finite : largest
    }
    return Float(bitPattern: UInt32(bitPattern: largest))
  }

  private static func isSuspect(
    _ expected: UnsafePointer<Float>, _ got: UnsafePointer<Float>, _ count: Int,
    _ relative: Float, _ absolute: Float
  ) -> Bool {
    var suspicion: Int32 = 0
    for index in 0..<count {
      let (right, value) = (expected[index], got[index])
      let bound = absolute + relative * abs(right)
      // Comparisons with a NaN are false, and infinities take the closer look.
      let isNear: Int32 = abs(value - right) <= bound ? 0 : 1
      let isFinite: Int32 = bound < .infinity ? 0 : 1
      suspicion |= isNear | isFinite
    }
    return suspicion != 0
  }

  /// The error relative to the element, or nil for one that is as expected.
  private static func error(
    _ right: Float, _ value: Float, _ relative: Float, _ absolute: Float
  ) -> Double? {
    let bound = absolute + relative * abs(right)
    if abs(value - right) <= bound, bound.isFinite { return nil }
    if right == value || (right.isNaN && value.isNaN) { return nil }
    let error = abs(Double(value) - Double(right)) / abs(Double(right))
    return error.isNaN ? .infinity : error
  }
}
