/// Random numbers made on the device. Word i of the sequence is that of ``RandomKey``.
package protocol RandomBackend {
  /// out[i] = word i, all 32 bits, as int32.
  func randomBits(_ key: RandomKey, into out: NDArray) throws(DeviceError)

  /// out[i] = low + (high - low) * u, u = (word i >> 8) * 2^-24 in [0, 1); the product and the
  /// sum are rounded separately, so that every device gives the same bits. float32.
  func randomUniform(
    _ key: RandomKey, low: Float, high: Float, into out: NDArray
  ) throws(DeviceError)
}
