/// A height and a width, such as those of a window; a plain number means both.
public struct Size2D: Hashable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// Rows.
  public var height: Int
  /// Columns.
  public var width: Int

  /// A height and a width.
  public init(_ height: Int, _ width: Int) {
    self.height = height
    self.width = width
  }

  /// Equal height and width.
  public init(integerLiteral value: Int) { self.init(value, value) }

  /// Such as `3x3`.
  public var description: String { "\(height)x\(width)" }

  var pair: (Int, Int) { (height, width) }
  var isPositive: Bool { height >= 1 && width >= 1 }
}
