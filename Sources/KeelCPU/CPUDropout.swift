internal import CKeelLoops
package import KeelBackend

extension CPUBackend: DropoutBackend {
  package func dropout(
    _ x: NDArray, rate: Float, _ key: RandomKey, into y: NDArray
  ) throws(DeviceError) {
    countLaunch()
    let (rate, key) = (DropoutRate(rate), key.loopKey)
    let (input, output) = (x.floats, y.floats)
    inParts(of: partSize, x.count) { begin, end in
      keel_dropout(key, rate.threshold, rate.scale, input, output, begin, end)
    }
  }
}
