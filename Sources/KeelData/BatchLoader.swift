import KeelBackend
import Synchronization

/// Cuts a data set into batches, in an order that depends on nothing but the seed and the epoch.
///
/// Batch (epoch, step) is a pure function of the loader: any thread, device or resumed run gets
/// the same one, augmentation included. Shuffled orders are Fisher–Yates permutations from Philox,
/// keyed (seed, shuffle, epoch).
public struct BatchLoader: Sendable {
  /// The data.
  public let dataset: Dataset
  /// Examples per batch; the last batch of an epoch may have fewer.
  public let batchSize: Int
  /// The seed of the order; nil keeps the order of the set.
  public let shuffleSeed: UInt64?
  /// Whether a last batch with fewer examples is left out.
  public let dropsLast: Bool
  /// The random changes of each example; nil for none.
  public let augmentation: Augmentation?
  /// The seed of the changes.
  public let augmentationSeed: UInt64
  /// Into how many parts a batch is cut for the cores to change; the bytes do not depend on it.
  public let workers: Int

  private let orders = EpochOrders()

  /// A loader over a data set.
  ///
  /// - Throws: ``DataError`` when the batch size or the count of workers is less than 1, dropping
  ///   the last batch would leave none, or the augmentation cannot work on such examples.
  public init(
    _ dataset: Dataset, batchSize: Int, shuffleSeed: UInt64? = nil, dropLast: Bool = false,
    augmentation: Augmentation? = nil, augmentationSeed: UInt64 = 0, workers: Int = 8
  ) throws(DataError) {
    guard batchSize >= 1 else {
      throw DataError(.outOfRange, "a batch size of \(batchSize) is less than 1")
    }
    guard !dropLast || batchSize <= dataset.count else {
      throw DataError(
        .outOfRange, "a batch size of \(batchSize) exceeds the \(dataset.count) examples",
        remedy: "use smaller batches or keep the last one")
    }
    guard workers >= 1 else {
      throw DataError(.outOfRange, "\(workers) workers cannot prepare batches")
    }
    try augmentation?.validate(for: dataset.exampleShape)
    self.dataset = dataset
    self.batchSize = batchSize
    self.shuffleSeed = shuffleSeed
    self.dropsLast = dropLast
    self.augmentation = augmentation
    self.augmentationSeed = augmentationSeed
    self.workers = workers
  }

  /// The count of batches in an epoch: examples / batch size, rounded up, or down when the last
  /// is dropped.
  public var stepsPerEpoch: Int {
    let whole = dataset.count / batchSize
    return dropsLast || dataset.count % batchSize == 0 ? whole : whole + 1
  }

  /// The places of the data set in the order of an epoch.
  public func order(epoch: Int) -> [Int32] {
    guard let shuffleSeed else { return orders.order(of: 0) { Array(0..<Int32(dataset.count)) } }
    return orders.order(of: epoch) {
      let key = RandomKey(
        seed: shuffleSeed, .shuffle, step: UInt64(truncatingIfNeeded: epoch))
      var random = RandomSequence(key)
      return random.permutation(dataset.count)
    }
  }

  /// The batch of a step; requires 0 <= step < ``stepsPerEpoch``.
  public func batch(at position: BatchPosition) -> Batch {
    precondition((0..<stepsPerEpoch).contains(position.step))
    let start = position.step * batchSize
    let end = min(dataset.count - start, batchSize) + start
    let places = Array(order(epoch: position.epoch)[start..<end])
    let (gathered, labels) = dataset.gather(places)
    var (features, mix): (Features, Mix?) = (gathered, nil)
    if let augmentation {
      let shape = dataset.exampleShape
      features = augmentation.applied(
        to: features, shape: shape, places: places, epoch: position.epoch,
        seed: augmentationSeed, workers: workers)
      (features, mix) = augmentation.mixed(
        features, shape: shape, labels: labels, places: places, at: position,
        seed: augmentationSeed)
    }
    return Batch(
      position: position, exampleShape: dataset.exampleShape, features: features, labels: labels,
      places: places, mix: mix)
  }

  /// The batches of an epoch, from a step on, prepared ahead on other threads.
  public func batches(epoch: Int, from step: Int = 0, ahead: Int = 2) -> BatchStream {
    batches(
      from: BatchPosition(epoch: epoch, step: step), to: BatchPosition(epoch: epoch + 1),
      ahead: ahead)
  }

  /// The batches from one position up to another, prepared ahead across the ends of epochs.
  ///
  /// At most `ahead` batches are in memory besides the one in use. A `start` at or beyond the end
  /// of its epoch means the start of the next.
  public func batches(
    from start: BatchPosition, to end: BatchPosition, ahead: Int = 2
  ) -> BatchStream {
    BatchStream(self, from: start, to: end, ahead: max(1, ahead))
  }
}

/// The orders of the epochs in use. A permutation takes longer than gathering a batch, so the last
/// two are kept: prefetching looks into the next epoch while this one ends.
private final class EpochOrders: Sendable {
  private let kept = Mutex<[(epoch: Int, order: [Int32])]>([])

  func order(of epoch: Int, make: () -> [Int32]) -> [Int32] {
    kept.withLock { kept in
      if let hit = kept.first(where: { $0.epoch == epoch }) { return hit.order }
      let order = make()
      kept = kept.suffix(1) + [(epoch, order)]
      return order
    }
  }
}
