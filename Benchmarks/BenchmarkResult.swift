package import KeelBackend

/// One row of the benchmark's table.
package struct BenchmarkResult: Sendable, Codable {
  package var id: String
  /// Median milliseconds per run when runs follow each other.
  package var milliseconds: Double
  /// Median milliseconds of one run that is waited for.
  package var waitedMilliseconds: Double
  /// Half the distance between the quartiles over the median.
  package var spread: Double
  /// 10^9 operations per second; nil where the case counts none.
  package var gigaflops: Double?
  /// 10^9 bytes per second, each array once in or once out.
  package var gigabytesPerSecond: Double?
  /// The time that the device's limits allow over the time taken, in percent.
  package var percentOfLimit: Double?
  /// Floating-point operations per byte, each array counted once in or once out.
  package var flopsPerByte: Double?
  /// For whole training steps: examples per second, launches, the bytes of all operations' arrays
  /// once in and once out, and the most bytes that arrays took at a time.
  package var examplesPerSecond: Double?
  package var launches: Int?
  /// Median milliseconds of processor time that the calling thread needs to hand a step over.
  package var hostMilliseconds: Double?
  package var bytesMoved: Int?
  package var peakBytes: Int?
}

extension BenchmarkResult {
  /// What takes a process from its start, and cannot follow another one.
  package init(start id: String, milliseconds: Double, spread: Double) {
    self.init(
      id: id, milliseconds: milliseconds, waitedMilliseconds: milliseconds, spread: spread)
  }
}

/// A whole run of the benchmark: what was measured, on what, when.
package struct BenchmarkReport: Sendable, Codable {
  package var keelVersion: String
  package var date: String
  package var device: DeviceDescription
  package var limits: DeviceLimits
  package var results: [BenchmarkResult]

  package init(
    keelVersion: String, date: String, device: DeviceDescription, limits: DeviceLimits,
    results: [BenchmarkResult]
  ) {
    self.keelVersion = keelVersion
    self.date = date
    self.device = device
    self.limits = limits
    self.results = results
  }
}
