/// The arithmetic limit of a device: what other operations' GFLOP/s are measured against.
package protocol MultiplyAddPeakBackend {
  /// out[i] = f applied `rounds` times to (i mod 16) / 16, with f(x) = fma(x, 0.5, 0.25).
  ///
  /// One chain per element, many chains in registers at once and no memory traffic but the final
  /// store: 2 * rounds * count floating-point operations at the device's peak.
  func multiplyAddPeak(rounds: Int, into out: NDArray) throws(DeviceError)
}
