internal import CKeelLoops
package import KeelBackend

extension CPUBackend: RandomBackend {
  package func randomBits(_ key: RandomKey, into out: NDArray) throws(DeviceError) {
    countLaunch()
    let (key, words) = (key.loopKey, out.pointer(as: UInt32.self))
    inParts(of: partSize, out.count) { begin, end in keel_random_bits(key, words, begin, end) }
  }

  package func randomUniform(
    _ key: RandomKey, low: Float, high: Float, into out: NDArray
  ) throws(DeviceError) {
    countLaunch()
    let (key, output) = (key.loopKey, out.floats)
    inParts(of: partSize, out.count) { begin, end in
      keel_random_uniform(key, low, high - low, output, begin, end)
    }
  }
}

extension RandomKey {
  /// The key as the loops take it.
  var loopKey: keel_random_key {
    keel_random_key(
      key_low: philoxKey[0], key_high: philoxKey[1], stream: stream,
      step_low: UInt32(truncatingIfNeeded: step),
      step_high: UInt32(truncatingIfNeeded: step >> 32))
  }
}
