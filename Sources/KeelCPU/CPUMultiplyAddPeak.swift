internal import CKeelLoops
package import KeelBackend

extension CPUBackend: MultiplyAddPeakBackend {
  package func multiplyAddPeak(rounds: Int, into out: NDArray) throws(DeviceError) {
    countLaunch()
    let output = out.floats
    // A multiple of the 16 lanes and 12 chains of the loop.
    inParts(of: 16 * 12 * 16, out.count) { begin, end in
      keel_multiply_add_peak(output + begin, end - begin, rounds)
    }
  }
}
