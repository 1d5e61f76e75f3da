import KeelBackend

/// Two different examples for a step of pair-sampling gradient descent.
public struct ExamplePair: Hashable, Sendable {
  /// The place of the example that should score higher.
  public let positive: Int32
  /// The place of the example that should score lower.
  public let negative: Int32
}

/// Draws pairs of examples, such as one of a class and one of the others.
///
/// All pairs are equally likely: for class c each of P · N, so that the mean gradient of the drawn
/// pairs is the exact gradient of the mean over all pairs, the surrogate of the area under the ROC
/// curve (Burges 2005, Rendle 2009). The pair of a step is a pure function of the seed and the
/// step.
public struct PairSampler: Sendable {
  /// What makes two examples a pair.
  public enum Pairing: Hashable, Sendable {
    /// One example of a class, and one of any other class.
    case classVersusRest(Int)
    /// Any two different examples, in random order.
    case distinct
  }

  /// What makes a pair.
  public let pairing: Pairing
  /// The seed of the draws.
  public let seed: UInt64
  private let count: Int
  private let positives: [Int32]
  private let negatives: [Int32]

  /// A sampler over a data set.
  ///
  /// - Throws: ``DataError`` when there is no pair: a class without examples, or without any
  ///   others, or fewer than 2 examples.
  public init(_ dataset: Dataset, _ pairing: Pairing, seed: UInt64) throws(DataError) {
    self.pairing = pairing
    self.seed = seed
    count = dataset.count
    guard case .classVersusRest(let label) = pairing else {
      (positives, negatives) = ([], [])
      guard count >= 2 else {
        throw DataError(.empty, "pairs need at least 2 examples, there is \(count)")
      }
      return
    }
    guard (0..<dataset.classCount).contains(label) else {
      throw DataError(
        .outOfRange, "pairs of class \(label), which is outside 0 ..< \(dataset.classCount)")
    }
    let places = 0..<Int32(count)
    positives = places.filter { dataset.label(at: Int($0)) == label }
    negatives = places.filter { dataset.label(at: Int($0)) != label }
    guard !positives.isEmpty, !negatives.isEmpty else {
      throw DataError(
        .empty,
        "pairs of class \(label) and the rest: \(positives.count) of \(count) examples "
          + "are of the class", remedy: "pairs need both")
    }
  }

  /// How many pairs there are: P · N, or n(n - 1) ordered ones.
  public var pairCount: Int {
    if case .distinct = pairing { count * (count - 1) } else { positives.count * negatives.count }
  }

  /// The pair of a step.
  public func pair(step: UInt64) -> ExamplePair { pairs(1, step: step)[0] }

  /// The pairs of a step, drawn independently; the first one is that of ``pair(step:)``.
  public func pairs(_ count: Int, step: UInt64) -> [ExamplePair] {
    // Index 0 of the purpose is the order of an epoch.
    var random = RandomSequence(RandomKey(seed: seed, .shuffle, index: 1, step: step))
    return (0..<max(0, count)).map { _ in draw(&random) }
  }

  private func draw(_ random: inout RandomSequence) -> ExamplePair {
    if case .distinct = pairing {
      let first = random.next(below: UInt32(count))
      // The second of the others, counted past the first.
      let other = random.next(below: UInt32(count - 1))
      return ExamplePair(
        positive: Int32(first), negative: Int32(other < first ? other : other + 1))
    }
    return ExamplePair(
      positive: positives[Int(random.next(below: UInt32(positives.count)))],
      negative: negatives[Int(random.next(below: UInt32(negatives.count)))])
  }
}
