internal import KeelAutograd
package import KeelBackend

/// What a device can do at most, measured in the run that quotes it.
package struct DeviceLimits: Sendable, Codable {
  /// Fused multiply-adds in registers, two operations each, in 10^9 per second.
  package var gigaflops: Double
  /// A copy of a large array, bytes read plus bytes written, in 10^9 per second.
  package var gigabytesPerSecond: Double

  package init(gigaflops: Double, gigabytesPerSecond: Double) {
    self.gigaflops = gigaflops
    self.gigabytesPerSecond = gigabytesPerSecond
  }

  /// Measures both: the best of the samples, because a limit is what is possible.
  package init(measuring device: Device, effort: Effort) throws(TensorError) {
    let stopwatch = Stopwatch(device: device, effort: effort)
    let backend = device.backend

    // Enough chains for every unit of a large GPU, enough rounds to hide the store.
    let chains = device.info.kind == .cpu ? 1 << 16 : 1 << 22
    let rounds = 4096
    let arithmetic = try stopwatch.streamed { () throws(TensorError) in
      try onDevice { () throws(DeviceError) in
        let out = try backend.allocate([chains], .float32)
        try backend.multiplyAddPeak(rounds: rounds, into: out)
      }
    }
    gigaflops = 2 * Double(chains) * Double(rounds) / arithmetic.minimum * 1e-9

    let count = 64 << 20
    let shape: Shape = [count]
    let arrays = try onDevice { () throws(DeviceError) in
      (from: try backend.allocate(shape, .float32), into: try backend.allocate(shape, .float32))
    }
    try onDevice { () throws(DeviceError) in try backend.fill(arrays.from, with: 1) }
    let copy = try stopwatch.streamed { () throws(TensorError) in
      try onDevice { () throws(DeviceError) in
        try backend.stridedCopy(
          arrays.from, StridedPattern(dense: shape), into: arrays.into,
          StridedPattern(dense: shape), extents: shape.extents)
      }
    }
    gigabytesPerSecond = 2 * Double(arrays.from.byteCount) / copy.minimum * 1e-9
  }

  /// The least seconds that the work can take: arithmetic and memory overlap, the slower counts.
  package func seconds(flops: Int, bytes: Int) -> Double {
    max(Double(flops) / gigaflops, Double(bytes) / gigabytesPerSecond) * 1e-9
  }
}
