internal import Synchronization

/// What one method of the contract has cost.
public struct OperationProfile: Sendable, Hashable {
  /// The stem of the operation's family, such as `convolution2d`.
  public var operation: String
  /// The method, such as `convolution2DFilterGradient`.
  public var method: String
  /// How often it ran.
  public var calls = 0
  /// Seconds in all, each call waited for.
  public var seconds = 0.0
  /// Bytes of its arrays, each counted once in and once out.
  public var bytes = 0

  /// Bytes per second, in units of 10^9.
  public var gigabytesPerSecond: Double { seconds > 0 ? Double(bytes) / seconds * 1e-9 : 0 }
}

/// A device that measures every operation: calls, time and bytes.
///
/// It waits for the device after each operation, so that the time is the operation's own: a run
/// is slower in all, but its parts are true.
package final class ProfilingBackend: InterceptingBackend {
  package let inner: any Backend
  private let profiles = Mutex<[String: OperationProfile]>([:])

  package init(_ inner: any Backend) { self.inner = inner }

  package func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError) {
    try inner.synchronize()
    let clock = ContinuousClock()
    let start = clock.now
    try body(inner, inputs, outputs)
    try inner.synchronize()
    let duration = (clock.now - start).components
    let seconds = Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
    let bytes = (inputs + outputs).reduce(0) { $0 + $1.byteCount }
    let name = String(method.prefix { $0 != "(" })
    profiles.withLock { table in
      var profile =
        table[name] ?? OperationProfile(operation: operation.rawValue, method: name)
      profile.calls += 1
      profile.seconds += seconds
      profile.bytes += bytes
      table[name] = profile
    }
  }

  /// Every method that ran, the most expensive first.
  package var table: [OperationProfile] {
    profiles.withLock { Array($0.values) }
      .sorted { ($0.seconds, $1.method) > ($1.seconds, $0.method) }
  }

  /// Forgets what was measured.
  package func reset() { profiles.withLock { $0.removeAll() } }
}
