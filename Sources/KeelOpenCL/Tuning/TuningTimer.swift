internal import COpenCL
internal import KeelBackend

/// Times of a candidate and of the planning function's choice, taken in turn.
package struct TuningComparison: Hashable, Sendable, Codable {
  /// Median nanoseconds of a run.
  package var nanoseconds: Double
  package var defaultNanoseconds: Double
  /// The median of the candidate's time over the other's, pair by pair: what slows both down at
  /// once does not show.
  package var ratio: Double
  /// The median distance from it.
  package var spread: Double
  package var samples: Int

  /// At least as much must be gained, else the planning function's choice stays: medians of two
  /// runs of the tuner, minutes apart, differ by up to a few percent.
  package static let leastGain = 0.05

  /// Whether the gain is large enough, and more than noise.
  package var isBetter: Bool {
    ratio <= 1 - Self.leastGain && ratio + 3 * spread / Double(samples).squareRoot() < 1
  }

  /// The planning function's choice compared with itself, by the times that were taken beside
  /// another.
  package var unchanged: TuningComparison {
    var same = self
    (same.nanoseconds, same.ratio) = (defaultNanoseconds, 1)
    return same
  }

  /// - Parameter pairs: seconds of a run, of candidate and default.
  package init(_ pairs: [(candidate: Double, standard: Double)]) {
    let ratios = pairs.map { $0.candidate / $0.standard }
    nanoseconds = 1e9 * median(pairs.map(\.candidate))
    defaultNanoseconds = 1e9 * median(pairs.map(\.standard))
    let middle = median(ratios)
    ratio = middle
    spread = median(ratios.map { abs($0 - middle) })
    samples = pairs.count
  }
}

/// The middle one, the lower of two.
private func median(_ values: [Double]) -> Double {
  values.isEmpty ? 0 : values.sorted()[(values.count - 1) / 2]
}

/// Takes the time of work on a device.
package struct TuningTimer {
  /// Runs the work some times: device time by its own clock, 0 where that does not tell, and the
  /// time on the wall, in seconds.
  package typealias Clock = (
    _ runs: Int, _ work: () throws -> Void
  ) throws -> (device: Double, wall: Double)

  private let clock: Clock
  /// What a batch must last: twenty times the coarser clock's step, so that the step is at most a
  /// twentieth, and a millisecond, so that starting and waiting are small.
  package let batchSeconds: Double

  package init(resolution: Double, clock: @escaping Clock) {
    batchSeconds = max(20 * resolution, 1e-3)
    self.clock = clock
  }

  package init(_ backend: OpenCLBackend) {
    self.init(resolution: max(backend.timerResolution, Self.wallResolution)) { (runs, work) in
      let clock = ContinuousClock()
      var wall = 0.0
      let trace = try backend.traced {
        let start = clock.now
        for _ in 0..<runs { try work() }
        try backend.synchronize()
        wall = elapsed(clock.now - start)
      }
      return (Double(trace.spanNanoseconds) * 1e-9, wall)
    }
  }

  /// Compares until the time is up, or until it is clear that the candidate is worse.
  ///
  /// - Parameter seconds: for all of it; at least five pairs of what may be
  ///   better are taken, at most 31.
  package func compare(
    seconds limit: Double, candidate: () throws -> Void,
    standard: () throws -> Void
  ) throws -> TuningComparison {
    let clock = ContinuousClock()
    let start = clock.now
    let runs = try (runs(candidate), runs(standard))
    var pairs: [(candidate: Double, standard: Double)] = []
    while pairs.count < 31 {
      // In turn, and each as often first.
      if pairs.count % 2 == 0 {
        let first = try sample(runs.0, candidate)
        pairs.append((first, try sample(runs.1, standard)))
      } else {
        let first = try sample(runs.1, standard)
        pairs.append((try sample(runs.0, candidate), first))
      }
      let ratio = TuningComparison(pairs).ratio
      if pairs.count >= 3 && ratio > 1.2 { break }
      guard pairs.count >= 5 else { continue }
      if elapsed(clock.now - start) >= limit { break }
      if ratio > 1.1 { break }
    }
    return TuningComparison(pairs)
  }

  /// Runs that fill a batch, after one that warms up.
  private func runs(_ work: () throws -> Void) throws -> Int {
    _ = try clock(1, work)
    let once = try sample(1, work)
    return max(1, min(1000, Int((batchSeconds / once).rounded(.up))))
  }

  /// Seconds of a run.
  private func sample(_ runs: Int, _ work: () throws -> Void) throws -> Double {
    let time = try clock(runs, work)
    // Some drivers report nothing, or 0 for what is shorter than their step.
    return max(time.device > 0 ? time.device : time.wall, 1e-9) / Double(runs)
  }

  /// The smallest step of the host's clock that shows.
  private static let wallResolution: Double = {
    let clock = ContinuousClock()
    var least = 1.0
    for _ in 0..<16 {
      let start = clock.now
      var step = 0.0
      while step <= 0 { step = elapsed(clock.now - start) }
      least = min(least, step)
    }
    return least
  }()
}

private func elapsed(_ duration: Duration) -> Double {
  let parts = duration.components
  return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
}

extension OpenCLBackend {
  /// The step of the device's clock, in seconds.
  fileprivate var timerResolution: Double {
    var step = 0
    let status = library.api.clGetDeviceInfo(
      entry.device, cl_device_info(CL_DEVICE_PROFILING_TIMER_RESOLUTION), MemoryLayout<Int>.size,
      &step, nil)
    return status == CL_SUCCESS ? Double(step) * 1e-9 : 0
  }
}
