public import KeelBackend

/// Examples with one class label each.
///
/// A value: slices and splits share the numbers of the whole and hold only which examples are
/// theirs, so they cost nothing and never change each other.
public struct Dataset: Sendable {
  /// The shape of one example; images are height x width x channels.
  public let exampleShape: Shape
  /// The count of classes; each label lies in 0 ..< `classCount`.
  public let classCount: Int
  /// What the examples show, as far as somebody declared it; parts of a set inherit it.
  public var kind = Kind.unspecified

  /// What examples show: some changes of them are harmless for one thing and not for another.
  public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
    /// Nobody said.
    case unspecified
    /// Handwritten or printed digits: a mirrored 2 is not a digit.
    case digits
  }

  private var features: Features
  private let allLabels: [Int32]
  /// The numbers of this set's examples within `features`.
  private let rows: [Int32]

  /// A set of images: bytes in the order example, row, column, channel.
  ///
  /// - Throws: ``DataError`` when there is none, the counts do not fit, or a label lies outside
  ///   0 ..< `classCount`.
  public init(
    images: [UInt8], height: Int, width: Int, channels: Int = 1, labels: [Int32], classCount: Int,
    source: String? = nil
  ) throws(DataError) {
    try self.init(
      .bytes(images), extents: [height, width, channels], labels: labels, classCount: classCount,
      source: source)
  }

  /// A set of numbers, one example after the other.
  ///
  /// - Throws: ``DataError`` as for images.
  public init(
    features: [Float], extents: [Int], labels: [Int32], classCount: Int, source: String? = nil
  ) throws(DataError) {
    try self.init(
      .floats(features), extents: extents, labels: labels, classCount: classCount, source: source)
  }

  private init(
    _ features: Features, extents: [Int], labels: [Int32], classCount: Int, source: String?
  ) throws(DataError) {
    guard !labels.isEmpty else { throw DataError(.empty, "holds no examples", path: source) }
    guard labels.count <= Int(Int32.max) else {
      throw DataError(.tooLarge, "holds \(labels.count) examples", path: source)
    }
    guard classCount >= 1 else {
      throw DataError(.outOfRange, "a class count of \(classCount) is less than 1", path: source)
    }
    guard let width = checkedProduct(extents), width > 0,
      let wanted = checkedProduct([width, labels.count])
    else {
      throw DataError(.malformed, "example extents \(extents) are not usable", path: source)
    }
    guard features.count == wanted else {
      throw DataError(
        .mismatch, "\(features.count) numbers for \(labels.count) examples of \(width)",
        path: source)
    }
    if let problem = Self.labelProblem(labels, classCount: classCount) {
      throw DataError(.outOfRange, problem, path: source)
    }
    self.features = features
    self.allLabels = labels
    self.exampleShape = Shape(extents)
    self.classCount = classCount
    self.rows = Array(0..<Int32(labels.count))
  }

  private init(_ whole: Dataset, rows: [Int32]) {
    self.features = whole.features
    self.allLabels = whole.allLabels
    self.exampleShape = whole.exampleShape
    self.classCount = whole.classCount
    self.kind = whole.kind
    self.rows = rows
  }

  /// The count of examples, at least 1.
  public var count: Int { rows.count }

  /// The label of each example.
  public var labels: [Int32] { rows.map { allLabels[Int($0)] } }

  /// The count of examples of each class.
  public var classCounts: [Int] {
    var counts = [Int](repeating: 0, count: classCount)
    for row in rows { counts[Int(allLabels[Int(row)])] += 1 }
    return counts
  }

  /// The classes without any example: a network cannot learn these.
  public var missingClasses: [Int] { classCounts.indices.filter { classCounts[$0] == 0 } }

  /// The label of one example.
  package func label(at place: Int) -> Int32 { allLabels[Int(rows[place])] }

  /// Which of these labels lies outside 0 ..< `classCount`, in words; nil when none does.
  package static func labelProblem(_ labels: [Int32], classCount: Int) -> String? {
    guard let bad = labels.firstIndex(where: { $0 < 0 || $0 >= classCount }) else { return nil }
    return "label \(labels[bad]) of example \(bad) is outside 0 ..< \(classCount)"
  }

  /// Which of this set's labels have no output among `outputs`, in words; nil when all have one.
  package func labelProblem(outputs: Int) -> String? {
    guard let place = rows.firstIndex(where: { Int(allLabels[Int($0)]) >= outputs }) else {
      return nil
    }
    let count = classCounts.dropFirst(max(0, outputs)).reduce(0, +)
    return "label \(label(at: place)) of example \(place) is outside 0 ..< \(outputs), the outputs "
      + "of the model; so are \(count) of \(self.count) labels"
  }

  /// Whether the numbers are bytes.
  var holdsBytes: Bool { if case .bytes = features { true } else { false } }

  /// The same examples as float32, bytes divided by 255.
  var normalized: Dataset {
    var copy = self
    copy.features = .floats(features.normalized)
    return copy
  }

  /// Runs `body` on the memory of the examples.
  func withContents<Result>(_ body: (ExampleContents) -> Result) -> Result {
    features.withUnsafeBytes { memory in
      body(
        ExampleContents(memory: memory, rows: rows, width: memory.count / allLabels.count))
    }
  }

  /// The examples at the given places of this set, gathered side by side.
  public func gather(_ places: some Collection<Int32>) -> (features: Features, labels: [Int32]) {
    let chosen = places.map { rows[Int($0)] }
    return (
      features.gather(chosen[...], width: exampleShape.count),
      chosen.map { allLabels[Int($0)] }
    )
  }

  /// The features of one example.
  public func example(at place: Int) -> Features {
    features.gather([rows[place]], width: exampleShape.count)
  }

  /// A contiguous part of this set.
  ///
  /// - Throws: ``DataError`` when the range is empty or leaves the set.
  public subscript(range: Range<Int>) -> Dataset {
    get throws(DataError) {
      guard !range.isEmpty else { throw DataError(.empty, "examples \(range) are none") }
      guard range.lowerBound >= 0, range.upperBound <= count else {
        throw DataError(.outOfRange, "examples \(range) leave the set of \(count)")
      }
      return Dataset(self, rows: Array(rows[range]))
    }
  }

  /// The examples at the given places, which must exist and not be none.
  package func selecting(_ places: some Collection<Int32>) -> Dataset {
    precondition(!places.isEmpty)
    return Dataset(self, rows: places.map { rows[Int($0)] })
  }
}

/// The product, or nil when a factor is negative or it does not fit an `Int`.
func checkedProduct(_ factors: [Int]) -> Int? {
  var product = 1
  for factor in factors {
    let (next, overflow) = product.multipliedReportingOverflow(by: factor)
    guard factor >= 0, !overflow else { return nil }
    product = next
  }
  return product
}
