/// Examples that occur more than once, found by their content.
public struct SharedContent: Equatable, Sendable {
  /// One example and another of equal content.
  public struct Pair: Equatable, Sendable {
    /// The place of the example.
    public let place: Int
    /// The place of the first equal one: in the other set, or earlier in the same one.
    public let equal: Int
  }

  /// How many examples have an equal.
  public let count: Int
  /// The first of them, at most ``shown``.
  public let pairs: [Pair]

  /// How many pairs are listed.
  public static let shown = 8
}

/// Training and test examples that are the same.
public struct DataLeak: Error, Equatable, Sendable, CustomStringConvertible {
  /// The examples that occur in both.
  public let shared: SharedContent
  /// How many examples were looked at.
  public let total: Int

  /// One sentence: how many, which, and what to do.
  public var description: String {
    let places = shared.pairs.map { "\($0.place) = \($0.equal)" }.joined(separator: ", ")
    let more = shared.count > shared.pairs.count ? ", …" : ""
    return "\(shared.count) of \(total) examples also occur in the other set (\(places)\(more)); "
      + "a test on examples that were trained on says nothing: divide the data before"
  }
}

extension Dataset {
  /// The examples of this set whose content also occurs in another set, whatever their labels.
  ///
  /// None for sets that are meant to be disjoint; anything else is a leak between training and
  /// test. Examples are compared by a hash of their numbers and, where that agrees, number by
  /// number; bytes equal the floats that they become.
  public func overlap(with other: Dataset) -> SharedContent {
    guard exampleShape == other.exampleShape else { return SharedContent(count: 0, pairs: []) }
    guard holdsBytes == other.holdsBytes else { return normalized.overlap(with: other.normalized) }
    return other.withContents { others in
      var index = ContentIndex(others)
      for place in 0..<other.count { index.add(place) }
      return withContents { own in
        SharedContent(of: count) { index.firstEqual(to: own[$0]) }
      }
    }
  }

  /// The examples of this set that repeat an earlier one, whatever their labels.
  ///
  /// Not an error: a set may hold an example twice. But two equal examples must not be divided
  /// between training and test.
  public func duplicates() -> SharedContent {
    withContents { contents in
      var index = ContentIndex(contents)
      return SharedContent(of: count) { place in
        let found = index.firstEqual(to: contents[place])
        if found == nil { index.add(place) }
        return found
      }
    }
  }

  /// Throws when any example of this set occurs in another one.
  ///
  /// - Throws: ``DataLeak`` with the count and the first places.
  public func requireDisjoint(from other: Dataset) throws(DataLeak) {
    let shared = overlap(with: other)
    guard shared.count == 0 else { throw DataLeak(shared: shared, total: count) }
  }
}

extension SharedContent {
  /// Asks for each place of a set which example equals it.
  fileprivate init(of places: Int, equal: (Int) -> Int?) {
    var (count, pairs): (Int, [Pair]) = (0, [])
    for place in 0..<places {
      guard let found = equal(place) else { continue }
      count += 1
      if pairs.count < Self.shown { pairs.append(Pair(place: place, equal: found)) }
    }
    self.init(count: count, pairs: pairs)
  }
}

/// The memory of each example of a set, while the set lends it.
struct ExampleContents {
  let memory: UnsafeRawBufferPointer
  let rows: [Int32]
  /// Bytes per example.
  let width: Int

  subscript(place: Int) -> UnsafeRawBufferPointer {
    let start = Int(rows[place]) * width
    return UnsafeRawBufferPointer(rebasing: memory[start..<(start + width)])
  }
}

/// Finds examples by content: a hash leads to candidates, comparing bytes decides.
private struct ContentIndex {
  private let contents: ExampleContents
  private var places: [Int: [Int]] = [:]

  init(_ contents: ExampleContents) { self.contents = contents }

  mutating func add(_ place: Int) {
    places[Self.hash(contents[place]), default: []].append(place)
  }

  /// The first place that was added with these bytes.
  func firstEqual(to bytes: UnsafeRawBufferPointer) -> Int? {
    places[Self.hash(bytes)]?.first { contents[$0].elementsEqual(bytes) }
  }

  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(bytes: bytes)
    return hasher.finalize()
  }
}
