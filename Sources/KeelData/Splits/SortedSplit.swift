/// What a split of sorted data does not show to the network.
public struct SplitWarning: Equatable, Sendable, CustomStringConvertible {
  /// The classes that the set has and the training part lacks.
  public let missingClasses: [Int]
  /// How many classes the set has.
  public let presentClasses: Int

  /// One sentence: what is missing, and what to do.
  public var description: String {
    let names = missingClasses.map { "\($0)" }.joined(separator: ", ")
    return
      "the training part lacks \(missingClasses.count) of \(presentClasses) classes: \(names); "
      + "data that are sorted must be shuffled before they are divided: "
      + "use split(trainFraction:stratified:seed:)"
  }
}

/// A split along a sorted order, with what is wrong about it.
public struct SortedSplit: Sendable {
  /// The smallest keys.
  public let train: Dataset
  /// The others.
  public let test: Dataset
  /// The classes that training will never see; nil when it sees all.
  public let warning: SplitWarning?
}

extension Dataset {
  /// Sorts by label, ascending, and trains on the first part.
  ///
  /// Training sees other classes than the test then (covariate shift), which the warning lists.
  ///
  /// - Throws: ``DataError`` unless 0 < `trainFraction` < 1 and neither part is empty.
  public func sortedSplit(trainFraction: Double) throws(DataError) -> SortedSplit {
    try sortedSplit(trainFraction: trainFraction) { label(at: $0) }
  }

  /// Sorts by a key, ascending, equal keys in the order of the set, and trains on the first part.
  ///
  /// - Parameter key: the key of the example at a place.
  /// - Throws: as ``sortedSplit(trainFraction:)``.
  public func sortedSplit<Key: Comparable>(
    trainFraction: Double, by key: (_ place: Int) -> Key
  ) throws(DataError) -> SortedSplit {
    let train = try trainCount(trainFraction)
    let keys = (0..<count).map(key)
    let order = (0..<Int32(count)).sorted { left, right in
      let (first, second) = (keys[Int(left)], keys[Int(right)])
      return first < second || (!(second < first) && left < right)
    }
    let (first, second) = (selecting(order[..<train]), selecting(order[train...]))
    let (whole, seen) = (classCounts, first.classCounts)
    let missing = whole.indices.filter { whole[$0] > 0 && seen[$0] == 0 }
    let warning = SplitWarning(
      missingClasses: missing, presentClasses: whole.count { $0 > 0 })
    return SortedSplit(train: first, test: second, warning: missing.isEmpty ? nil : warning)
  }
}
