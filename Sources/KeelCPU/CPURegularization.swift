internal import CKeelLoops
package import KeelBackend

extension CPUBackend: RegularizationBackend {
  package func addPenaltyGradient(
    to g: NDArray, parameters: NDArray, scales: NDArray, l1: Float, l2: Float
  ) throws(DeviceError) {
    countLaunch()
    let (gradients, p, s) = (g.floats, parameters.floats, scales.floats)
    inParts(of: partSize / ArenaBlock.count, g.count / ArenaBlock.count) { begin, end in
      keel_penalty_gradient(gradients, p, s, l1, l2, begin, end)
    }
  }

  package func shrinkParameters(
    _ parameters: NDArray, scales: NDArray, l1: Float, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard decision.number(.applies) != 0 else { return }
    let (p, s, rate) = (parameters.floats, scales.floats, decision.number(.learningRate))
    inParts(of: partSize / ArenaBlock.count, parameters.count / ArenaBlock.count) { begin, end in
      keel_shrink(p, s, rate, l1, begin, end)
    }
  }
}
