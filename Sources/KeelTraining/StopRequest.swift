import Synchronization

/// A flag that asks a training to finish its step, save, and return.
///
/// Setting it is safe from a signal handler and from any thread.
public final class StopRequest: Sendable {
  private let flag = Atomic<Bool>(false)

  /// A flag that is not set.
  public init() {}

  /// Sets the flag.
  public func request() { flag.store(true, ordering: .relaxed) }

  /// Clears the flag.
  public func clear() { flag.store(false, ordering: .relaxed) }

  /// Whether it is set.
  public var isRequested: Bool { flag.load(ordering: .relaxed) }
}
