/// The extents of a dense, row-major array. A scalar has no axes and one element.
public struct Shape: Hashable, Sendable, Codable, ExpressibleByArrayLiteral {
  /// The largest number of axes that operations accept.
  public static let maximumRank = 8

  /// The length of each axis, outermost first.
  public let extents: [Int]

  /// A shape of the given extents. Operations refuse negative ones where they are handed in.
  public init(_ extents: [Int]) { self.extents = extents }

  /// A shape of the given extents. Operations refuse negative ones where they are handed in.
  public init(arrayLiteral extents: Int...) { self.init(extents) }

  /// The shape of one number: no axes.
  public static let scalar = Shape([])

  /// The number of axes.
  public var rank: Int { extents.count }

  /// The number of elements: the product of the extents.
  public var count: Int { extents.reduce(1, *) }

  /// Whether the bytes of its elements, up to 8 each, can be counted; ``count`` is safe then.
  package var isCountable: Bool {
    var bytes = 8
    for extent in extents {
      let (product, overflows) = bytes.multipliedReportingOverflow(by: extent)
      if overflows { return false }
      bytes = product
    }
    return true
  }

  /// The extent of an axis.
  public subscript(axis: Int) -> Int { extents[axis] }

  /// The distance in elements between neighbours along each axis, row-major.
  public var strides: [Int] {
    var strides = [Int](repeating: 1, count: rank)
    for axis in stride(from: rank - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] * extents[axis + 1]
    }
    return strides
  }

  /// The shape that both broadcast to by NumPy's rule (aligned at the last axis, extent 1
  /// stretches), or nil where there is none.
  public func broadcast(with other: Shape) -> Shape? {
    let rank = max(self.rank, other.rank)
    var result = [Int](repeating: 1, count: rank)
    for axis in 0..<rank {
      let left = axis - rank + self.rank >= 0 ? extents[axis - rank + self.rank] : 1
      let right = axis - rank + other.rank >= 0 ? other.extents[axis - rank + other.rank] : 1
      guard left == right || left == 1 || right == 1 else { return nil }
      result[axis] = left == 1 ? right : left
    }
    return Shape(result)
  }

  /// The strides with which an array of this shape is read as one of shape `target`:
  /// 0 along every stretched axis. Requires that this shape broadcasts to `target`.
  package func broadcastStrides(to target: Shape) -> [Int] {
    let offset = target.rank - rank
    let own = strides
    return (0..<target.rank).map { axis in
      axis < offset || extents[axis - offset] == 1 ? 0 : own[axis - offset]
    }
  }

  /// This shape with `axes` removed, or kept with extent 1.
  package func reducing(_ axes: [Int], keepingAxes: Bool) -> Shape {
    Shape(
      extents.enumerated().compactMap { axis, extent in
        axes.contains(axis) ? (keepingAxes ? 1 : nil) : extent
      })
  }
}

extension Shape: CustomStringConvertible {
  /// The extents joined by x, such as `32x28x28x1`; `scalar` without axes.
  public var description: String {
    rank == 0 ? "scalar" : extents.map(String.init).joined(separator: "x")
  }
}
