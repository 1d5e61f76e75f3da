internal import CKeelLoops
package import KeelBackend

extension CPUBackend: GradientNoiseBackend {
  package func addUniformNoise(
    to g: NDArray, seed: UInt64, firstUpdate: UInt64, counters: NDArray, scales: NDArray,
    decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    let amplitude = decision.number(.noise)
    guard decision.number(.applies) != 0, amplitude != 0 else { return }
    let row = counters.pointer(as: Int32.self)[CounterField.row.rawValue]
    let step = firstUpdate &+ UInt64(bitPattern: Int64(row) - 1)
    let key = RandomKey(seed: seed, .noise, step: step).loopKey
    let (gradients, scales) = (g.floats, scales.floats)
    inParts(of: partSize / ArenaBlock.count, g.count / ArenaBlock.count) { begin, end in
      keel_gradient_noise(key, amplitude, gradients, scales, begin, end)
    }
  }

  package func addNoise(
    _ noise: NDArray, to g: NDArray, whereNormBelow threshold: Float, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard decision.number(.applies) != 0, decision.number(.norm) < threshold else { return }
    let (from, to) = (noise.floats, g.floats)
    inParts(of: partSize, g.count) { begin, end in
      for i in begin..<end { to[i] += from[i] }
    }
  }
}
