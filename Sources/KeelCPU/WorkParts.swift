internal import KeelBackend
internal import Synchronization

/// Work along one extent (rows, images, matrices), divided among cores into parts of nearly equal
/// size. What is small stays whole; what cannot be divided is left to oneDNN's own threads.
struct WorkParts {
  struct Part: Sendable {
    var start: Int
    var count: Int
    /// Its number, or nil for work that uses all cores by itself.
    var number: Int?
  }

  let all: [Part]

  /// Handing work to another thread pays above this many operations.
  private static let smallestDivided = 2_000_000

  init(_ extent: Int, flops: Int, cores: Int) {
    let wanted = min(cores, extent)
    if flops < Self.smallestDivided || cores < 2 {
      all = [Part(start: 0, count: extent, number: 0)]
    } else if wanted < cores {
      all = [Part(start: 0, count: extent, number: nil)]
    } else {
      all = (0..<wanted).map { number in
        let start = extent * number / wanted
        return Part(start: start, count: extent * (number + 1) / wanted - start, number: number)
      }
    }
  }
}

/// Runs one part with its primitive and scratch memory.
typealias PartRun =
  (WorkParts.Part, OneDNNOperation, UnsafeMutableRawPointer) throws(DeviceError) -> Void

extension CPUBackend {
  /// Runs the primitive of each part, all at the same time, on the threads that all loops use.
  ///
  /// Not on oneDNN's OpenMP threads: they spin for milliseconds after each operation, on the cores
  /// that the loops in between need. Measured on two cores: a training step of 46 ms became 10.
  func runParts(
    _ parts: WorkParts, key: (WorkParts.Part) -> OneDNN.Key, run: PartRun
  ) throws(DeviceError) {
    var operations: [OneDNNOperation] = []
    var scratches: [CPUStorage] = []
    for part in parts.all {
      let operation = try dnn.operation(key(part))
      operations.append(operation)
      scratches.append(try scratch(operation.scratchBytes, of: UInt8.self))
    }
    let failure = Mutex<DeviceError?>(nil)
    concurrently(parts.all.count) { number in
      do throws(DeviceError) {
        try run(parts.all[number], operations[number], scratches[number].base)
      } catch {
        failure.withLock { $0 = error }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}
