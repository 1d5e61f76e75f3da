import Dispatch
import Synchronization

/// Batches in order, each prepared on another thread while the one before it is used.
///
/// A sequence for one consumer and one pass.
public final class BatchStream: Sequence, IteratorProtocol {
  private let loader: BatchLoader
  private let end: BatchPosition
  /// The next position to prepare.
  private var ahead: BatchPosition
  /// The batches under way, oldest first.
  private var pending: [PendingBatch] = []
  private var oldest = 0

  init(_ loader: BatchLoader, from start: BatchPosition, to end: BatchPosition, ahead: Int) {
    self.loader = loader
    self.end = end
    self.ahead = start
    if start.step >= loader.stepsPerEpoch { self.ahead = BatchPosition(epoch: start.epoch + 1) }
    for _ in 0..<ahead {
      guard let batch = prepareNext() else { break }
      pending.append(batch)
    }
  }

  /// The next batch, or nil after the last; waits only when preparation is behind.
  public func next() -> Batch? {
    guard !pending.isEmpty else { return nil }
    let batch = pending[oldest].wait()
    // The freed place takes the batch after those under way; without one the ring shrinks.
    if let following = prepareNext() {
      pending[oldest] = following
      oldest = (oldest + 1) % pending.count
    } else {
      pending = Array(pending[(oldest + 1)...] + pending[..<oldest])
      oldest = 0
    }
    return batch
  }

  /// Starts on the batch at `ahead` and moves on.
  private func prepareNext() -> PendingBatch? {
    guard ahead < end else { return nil }
    let (batch, loader, position) = (PendingBatch(), loader, ahead)
    ahead.step += 1
    if ahead.step == loader.stepsPerEpoch { ahead = BatchPosition(epoch: ahead.epoch + 1) }
    DispatchQueue.global(qos: .userInitiated).async {
      batch.fulfil(loader.batch(at: position))
    }
    return batch
  }
}

/// A batch that another thread prepares.
private final class PendingBatch: Sendable {
  private let ready = DispatchSemaphore(value: 0)
  private let batch = Mutex<Batch?>(nil)

  func fulfil(_ batch: Batch) {
    self.batch.withLock { $0 = batch }
    ready.signal()
  }

  /// The batch, once; requires one caller.
  func wait() -> Batch? {
    ready.wait()
    return batch.withLock { $0.take() }
  }
}
