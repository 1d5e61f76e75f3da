import KeelBackend

/// A set in two parts that share no example.
public struct DatasetParts: Sendable {
  /// To learn from.
  public let train: Dataset
  /// To test with.
  public let test: Dataset
}

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
    let order = SplitOrder.split(seed).order(count)
    return (selecting(order[..<train]), selecting(order[train..<total]))
  }

  /// Two disjoint parts that hold everything: `trainFraction` of the examples, rounded down, and
  /// the rest.
  ///
  /// - Parameters:
  ///   - stratified: whether each class is divided like the whole, within one example.
  ///   - seed: draws which examples go where; nil takes the first ones for training.
  /// - Throws: ``DataError`` unless 0 < `trainFraction` < 1 and neither part is empty.
  public func split(
    trainFraction: Double, stratified: Bool = false, seed: UInt64? = nil
  ) throws(DataError) -> (train: Dataset, test: Dataset) {
    let train = try trainCount(trainFraction)
    let parts = divided(train, stratified: stratified, SplitOrder.split(seed))
    return (parts.train, parts.test)
  }

  /// Many independent random splits of the same set: Monte-Carlo cross-validation (Picard and
  /// Cook, 1984).
  ///
  /// Split number i depends on the seed and i alone. Each is made when it is asked for.
  ///
  /// - Throws: ``DataError`` unless `count` is at least 1, 0 < `trainFraction` < 1 and neither part
  ///   is empty.
  public func repeatedSplits(
    count: Int, trainFraction: Double, stratified: Bool = false, seed: UInt64
  ) throws(DataError) -> RepeatedSplits {
    guard count >= 1 else { throw DataError(.outOfRange, "\(count) repeated splits are none") }
    return RepeatedSplits(
      dataset: self, count: count, train: try trainCount(trainFraction), stratified: stratified,
      seed: seed)
  }

  /// `k` splits in which each example is tested with exactly once (Stone, 1974).
  ///
  /// - Parameters:
  ///   - stratified: whether each class is spread evenly over the folds, within one example.
  ///   - seed: draws which examples stand together; nil keeps neighbours together, or deals each
  ///     class in its order.
  /// - Throws: ``DataError`` unless 2 <= `k` <= the count of examples.
  public func folds(
    _ k: Int, stratified: Bool = false, seed: UInt64? = nil
  ) throws(DataError) -> [DatasetParts] {
    guard k >= 2, k <= count else {
      throw DataError(
        .outOfRange, "\(k) folds of \(count) examples",
        remedy: "use at least 2 folds and at most as many as there are examples")
    }
    var order = SplitOrder.folds(seed).order(count)
    if stratified {
      // Dealt like cards, class after class: every class and every fold is even within one.
      let byClass = order.enumerated().sorted {
        (label(at: Int($0.element)), $0.offset) < (label(at: Int($1.element)), $1.offset)
      }
      order = (0..<k).flatMap { fold in
        stride(from: fold, to: count, by: k).map { byClass[$0].element }
      }
    }
    var start = 0
    return (0..<k).map { fold in
      let end = start + count / k + (fold < count % k ? 1 : 0)
      defer { start = end }
      return DatasetParts(
        train: selecting(Array(order[..<start] + order[end...])),
        test: selecting(order[start..<end]))
    }
  }

  /// All examples in the order in which a ``BatchLoader`` with this seed visits them in an epoch.
  public func shuffled(seed: UInt64, epoch: Int = 0) -> Dataset {
    selecting(SplitOrder.shuffle(seed, epoch: epoch).order(count))
  }

  /// How many examples train: the fraction, rounded down.
  func trainCount(_ fraction: Double) throws(DataError) -> Int {
    guard fraction > 0, fraction < 1 else {
      throw DataError(.outOfRange, "a training fraction of \(fraction) is not between 0 and 1")
    }
    let train = Int(Double(count) * fraction)
    guard train >= 1, train < count else {
      throw DataError(
        .empty, "a training fraction of \(fraction) leaves a part of \(count) examples without any",
        remedy: "both parts need at least 1")
    }
    return train
  }

  /// Two parts of an order; stratified parts take of each class its share.
  func divided(_ train: Int, stratified: Bool, _ split: SplitOrder) -> DatasetParts {
    let order = split.order(count)
    guard stratified else {
      return DatasetParts(train: selecting(order[..<train]), test: selecting(order[train...]))
    }
    var left = classShares(of: train)
    var (first, second): ([Int32], [Int32]) = ([], [])
    for place in order {
      let label = Int(label(at: Int(place)))
      if left[label] > 0 {
        left[label] -= 1
        first.append(place)
      } else {
        second.append(place)
      }
    }
    return DatasetParts(train: selecting(first), test: selecting(second))
  }

  /// How many examples of each class make `train` in the proportions of the set: rounded down, and
  /// one more where the rest is largest (Hamilton's method), in whole numbers.
  private func classShares(of train: Int) -> [Int] {
    let counts = classCounts
    var shares = counts.map { $0 * train / count }
    let rests = counts.map { $0 * train % count }
    let byRest = counts.indices.sorted { (-rests[$0], $0) < (-rests[$1], $1) }
    for label in byRest.prefix(train - shares.reduce(0, +)) { shares[label] += 1 }
    return shares
  }
}

/// Random splits of one set, each made when it is asked for.
public struct RepeatedSplits: RandomAccessCollection, Sendable {
  let dataset: Dataset
  /// How many there are.
  public let count: Int
  let train: Int
  let stratified: Bool
  let seed: UInt64

  /// 0, the number of the first split.
  public var startIndex: Int { 0 }
  /// The count of splits.
  public var endIndex: Int { count }

  /// The split of a number.
  public subscript(number: Int) -> DatasetParts {
    precondition(indices.contains(number))
    return dataset.divided(train, stratified: stratified, .repeated(seed, number: number))
  }
}

/// An order of examples, and what its random numbers are for.
enum SplitOrder {
  case split(UInt64?)
  case repeated(UInt64, number: Int)
  case folds(UInt64?)
  case shuffle(UInt64, epoch: Int)

  private var key: RandomKey? {
    switch self {
    case .split(let seed): seed.map { RandomKey(seed: $0, .split) }
    case .repeated(let seed, let number):
      RandomKey(seed: seed, .split, index: 1, step: UInt64(truncatingIfNeeded: number))
    case .folds(let seed): seed.map { RandomKey(seed: $0, .split, index: 2) }
    case .shuffle(let seed, let epoch):
      RandomKey(seed: seed, .shuffle, step: UInt64(truncatingIfNeeded: epoch))
    }
  }

  /// The places 0 ..< `count`, shuffled if there is a seed.
  func order(_ count: Int) -> [Int32] {
    guard let key else { return Array(0..<Int32(count)) }
    var random = RandomSequence(key)
    return random.permutation(count)
  }
}
