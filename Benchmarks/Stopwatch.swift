internal import Glibc
internal import KeelAutograd
package import KeelBackend

/// Times of repeated runs, in seconds.
package struct Samples: Sendable {
  private let sorted: [Double]

  package init(_ seconds: [Double]) {
    precondition(!seconds.isEmpty)
    sorted = seconds.sorted()
  }

  package var count: Int { sorted.count }
  package var minimum: Double { sorted[0] }
  package var median: Double { quantile(0.5) }
  /// Half the distance between the quartiles, relative to the median: how noisy the runs were.
  package var spread: Double { (quantile(0.75) - quantile(0.25)) / 2 / median }

  private func quantile(_ fraction: Double) -> Double {
    sorted[Int((Double(sorted.count - 1) * fraction).rounded())]
  }
}

/// How long to measure.
package struct Effort: Sendable {
  /// Seconds of samples per case.
  package var seconds: Double
  /// The least number of samples.
  package var samples: Int
  /// Cases of each operation that are checked before it is timed.
  package var checks: Int

  /// For figures that are quoted.
  package static let full = Effort(seconds: 1.0, samples: 9, checks: .max)
  /// For a look, and for CI.
  package static let quick = Effort(seconds: 0.05, samples: 3, checks: 3)
}

/// Runs work on a device again and again and takes its time.
package struct Stopwatch {
  let device: Device
  let effort: Effort

  package init(device: Device, effort: Effort) {
    self.device = device
    self.effort = effort
  }

  /// Wall times of single runs, each waited for: what a caller who needs the result sees.
  package func single(_ run: () throws(TensorError) -> Void) throws(TensorError) -> Samples {
    try warmUp(run)
    return try samples { () throws(TensorError) in
      try run()
      try wait()
    }
  }

  /// Times per run when runs follow each other without waiting: the device's own time, as long as
  /// handing over work is faster than doing it.
  package func streamed(_ run: () throws(TensorError) -> Void) throws(TensorError) -> Samples {
    try warmUp(run)
    let once = try seconds { () throws(TensorError) in
      try run()
      try wait()
    }
    // Enough runs that the wait at the end is a small part, few enough for several samples.
    let runs = max(2, min(200, Int(effort.seconds / 10 / max(once, 1e-6))))
    let batches = try samples { () throws(TensorError) in
      for _ in 0..<runs { try run() }
      try wait()
    }
    return Samples(batches.each.map { $0 / Double(runs) })
  }

  /// Processor times of the calling thread for single runs: what handing them over takes.
  package func handedOver(_ run: () throws(TensorError) -> Void) throws(TensorError) -> Samples {
    try warmUp(run)
    var times: [Double] = []
    while times.count < 100 || times.count < effort.samples {
      let start = Self.threadSeconds
      try run()
      times.append(Self.threadSeconds - start)
      try wait()
    }
    return Samples(times)
  }

  private static var threadSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  private func warmUp(_ run: () throws(TensorError) -> Void) throws(TensorError) {
    // Twice: the first run compiles and allocates, the second fills the pool's other sizes.
    for _ in 0..<2 { try run() }
    try wait()
  }

  private func samples(_ run: () throws(TensorError) -> Void) throws(TensorError) -> Samples {
    var times: [Double] = []
    var total = 0.0
    while times.count < effort.samples || total < effort.seconds {
      let time = try seconds(run)
      times.append(time)
      total += time
    }
    return Samples(times)
  }

  private func seconds(_ run: () throws(TensorError) -> Void) throws(TensorError) -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try run()
    let duration = (clock.now - start).components
    return Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
  }

  private func wait() throws(TensorError) {
    try onDevice { () throws(DeviceError) in try device.synchronize() }
  }
}

extension Samples {
  /// Every sample, ascending.
  var each: [Double] { sorted }
}
