import KeelBackend

extension Dataset {
  /// Two disjoint parts: the first `train` examples, and the `test` examples after them.
  ///
  /// Without a seed the order of the set is kept, so the parts are contiguous and documented by
  /// two numbers; use a seed for data sorted by label. The same seed gives the same parts on every
  /// machine.
  ///
  /// - Throws: ``DataError`` when a part is empty or both together need more than there is.
  public func split(
    train: Int, test: Int, seed: UInt64? = nil
  ) throws(DataError) -> (train: Dataset, test: Dataset) {
    guard train >= 1, test >= 1 else {
      throw DataError(
        .empty, "a split into \(train) and \(test) examples leaves a part without any",
        remedy: "both parts need at least 1")
    }
    let (total, overflow) = train.addingReportingOverflow(test)
    guard !overflow, total <= count else {
      throw DataError(
        .outOfRange,
        "\(train) training and \(test) test examples are more than the \(count) there are",
        remedy: "ask for fewer")
    }
    var order = Array(0..<Int32(count))
    if let seed {
      var random = RandomSequence(RandomKey(seed: seed, .split))
      order = random.permutation(count)
    }
    return (selecting(order[..<train]), selecting(order[train..<total]))
  }

  /// Two disjoint parts that hold everything: `trainFraction` of the examples, rounded down, and
  /// the rest.
  ///
  /// - Throws: ``DataError`` unless 0 < `trainFraction` < 1 and neither part is empty.
  public func split(
    trainFraction: Double, seed: UInt64? = nil
  ) throws(DataError) -> (train: Dataset, test: Dataset) {
    guard trainFraction > 0, trainFraction < 1 else {
      throw DataError(.outOfRange, "a training fraction of \(trainFraction) is not between 0 and 1")
    }
    let train = Int(Double(count) * trainFraction)
    return try split(train: train, test: count - train, seed: seed)
  }

  /// The count of this set's examples whose content also occurs in another set.
  ///
  /// Zero for sets that are meant to be disjoint; anything else is a leak between training and
  /// test, whatever the file names say.
  public func overlap(with other: Dataset) -> Int {
    guard exampleShape == other.exampleShape else { return 0 }
    let contents = Set((0..<other.count).map { other.contentHash(at: $0) })
    return (0..<count).count { contents.contains(contentHash(at: $0)) }
  }

  private func contentHash(at place: Int) -> SHA256.Digest {
    example(at: place).withUnsafeBytes { SHA256.digest(of: $0) }
  }
}
