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

  /// The axes that keep two shapes from being broadcast, such as `; they differ in axis 1: 3 and
  /// 4`; empty where nothing does. Where one has fewer axes, both are counted from the last.
  package func axisDifference(whenBroadcastWith other: Shape) -> String {
    let differing = (1...max(rank, other.rank, 1)).reversed().compactMap { place -> String? in
      guard place <= rank, place <= other.rank else { return nil }
      let (left, right) = (extents[rank - place], other.extents[other.rank - place])
      guard left != right, left != 1, right != 1 else { return nil }
      let axis =
        rank == other.rank
        ? "axis \(rank - place)" : "axis \(rank - place) and axis \(other.rank - place)"
      return "\(axis): \(left) and \(right)"
    }
    return differing.isEmpty ? "" : "; they differ in " + differing.joined(separator: ", ")
  }

  /// The axes in which two shapes differ, such as `; they differ in axis 1: 3 and 4`, or that one
  /// has more of them; empty for equal shapes.
  ///
  /// - Parameter axis: an axis that may differ.
  package func axisDifference(from other: Shape, exceptAxis axis: Int? = nil) -> String {
    guard rank == other.rank else { return "; one has \(rank) axes, the other \(other.rank)" }
    let differing = extents.indices.filter { $0 != axis && self[$0] != other[$0] }.map {
      "axis \($0): \(self[$0]) and \(other[$0])"
    }
    return differing.isEmpty ? "" : "; they differ in " + differing.joined(separator: ", ")
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
