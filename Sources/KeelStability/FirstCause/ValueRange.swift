package import KeelBackend

/// What numbers an array holds: counts of what is not finite, and the range of the rest.
public struct ValueRange: Hashable, Sendable, Codable {
  /// The array's extents.
  public var shape: [Int]
  /// The smallest finite number, or nil if there is none.
  public var minimum: Float?
  /// The largest finite number, or nil if there is none.
  public var maximum: Float?
  /// How many are not a number.
  public var nanCount = 0
  /// How many are +infinity.
  public var positiveInfinityCount = 0
  /// How many are -infinity.
  public var negativeInfinityCount = 0
  /// The position of the first that is not finite, row-major.
  public var firstNonFinite: Int?

  /// The range of numbers in row-major order.
  package init(_ values: [Float], shape: Shape) {
    self.shape = shape.extents
    var (low, high) = (Float.infinity, -Float.infinity)
    for (position, value) in values.enumerated() {
      guard value.isFinite else {
        if firstNonFinite == nil { firstNonFinite = position }
        if value.isNaN {
          nanCount += 1
        } else if value > 0 {
          positiveInfinityCount += 1
        } else {
          negativeInfinityCount += 1
        }
        continue
      }
      low = min(low, value)
      high = max(high, value)
    }
    if low <= high { (minimum, maximum) = (low, high) }
  }

  /// Of an array on a device; integers are always finite and are not read.
  package init(_ array: NDArray, _ backend: any Backend) throws(DeviceError) {
    guard array.dtype.isFloat, array.count > 0 else {
      self.init([], shape: array.shape)
      return
    }
    self.init(try backend.scalars(array), shape: array.shape)
  }

  /// How many numbers are not finite.
  public var nonFiniteCount: Int { nanCount + positiveInfinityCount + negativeInfinityCount }

  /// Whether every number is finite.
  public var isFinite: Bool { nonFiniteCount == 0 }

  /// The largest magnitude of a finite number, or nil if there is none.
  public var largestMagnitude: Float? {
    guard let minimum, let maximum else { return nil }
    return max(abs(minimum), abs(maximum))
  }

  /// The index of the first number that is not finite, one position per axis.
  public var firstNonFiniteIndex: [Int]? {
    guard var rest = firstNonFinite else { return nil }
    var index: [Int] = []
    for extent in shape.reversed() {
      index.append(extent > 0 ? rest % extent : 0)
      rest /= max(extent, 1)
    }
    return index.reversed()
  }
}

extension ValueRange: CustomStringConvertible {
  /// Such as `32x10, 3 NaN and 1 -inf of 320, first at [0, 7]; the rest -1.5 to 4.25`.
  public var description: String {
    let count = shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
    let extents = shape.isEmpty ? "a scalar" : shape.map(String.init).joined(separator: "x")
    var range = "nothing"
    if let minimum, let maximum {
      range =
        minimum == maximum
        ? "\(minimum)" : "\(minimum) to \(maximum)"
    }
    guard let index = firstNonFiniteIndex else { return "\(extents), \(range)" }
    let place = shape.isEmpty ? "" : ", first at \(index)"
    let rest = minimum == nil ? "" : "; the rest \(range)"
    return "\(extents), \(tally) of \(count.grouped)\(place)\(rest)"
  }

  /// Such as `3 NaN and 1 -inf`.
  package var tally: String {
    [(nanCount, "NaN"), (positiveInfinityCount, "+inf"), (negativeInfinityCount, "-inf")]
      .filter { $0.0 > 0 }.map { "\($0.0.grouped) \($0.1)" }.joined(separator: " and ")
  }

  /// The kinds of what is not finite, such as `NaN and -inf`.
  package var kinds: String {
    [(nanCount, "NaN"), (positiveInfinityCount, "+inf"), (negativeInfinityCount, "-inf")]
      .filter { $0.0 > 0 }.map(\.1).joined(separator: " and ")
  }
}
