/// One kernel that a device ran, with the device's own time.
package struct LaunchRecord: Sendable {
  /// The program's name, such as `convolution2d_winograd`, and the kernel's.
  package let program: String
  package let function: String
  /// Start to end on the device; 0 where the driver does not measure.
  package let nanoseconds: UInt64

  package init(program: String, function: String, nanoseconds: UInt64) {
    self.program = program
    self.function = function
    self.nanoseconds = nanoseconds
  }
}

/// What a device did with some work: the kernels that it ran, and why those.
package struct LaunchTrace: Sendable {
  package var launches: [LaunchRecord] = []
  /// What the planning functions chose and why, in order, each text once.
  package var choices: [String] = []
  /// From the start of the first kernel to the end of the last, by the device's clock; 0 where the
  /// driver does not measure all of them.
  package var spanNanoseconds: UInt64 = 0

  package init() {}

  /// Launches and nanoseconds per kernel, the longest first.
  package var byKernel: [(name: String, launches: Int, nanoseconds: UInt64)] {
    var sums: [String: (launches: Int, nanoseconds: UInt64)] = [:]
    for launch in launches {
      let old = sums[launch.function] ?? (0, 0)
      sums[launch.function] = (old.launches + 1, old.nanoseconds + launch.nanoseconds)
    }
    return sums.map { ($0.key, $0.value.launches, $0.value.nanoseconds) }
      .sorted { ($0.nanoseconds, $1.name) > ($1.nanoseconds, $0.name) }
  }
}

/// A device that can say which kernels it runs.
package protocol LaunchTracing: Backend {
  /// Runs `body` while every launch is measured: slower in all, true in its parts.
  func traced(_ body: () throws -> Void) throws -> LaunchTrace
}
