/// Dropout (Srivastava et al., 2014), inverted: scaled while training, nothing to do later.
package protocol DropoutBackend {
  /// y[i] = x[i] * (1 / (1 - rate)) where word i of `key` is at least the threshold, else 0.
  /// threshold = floor(rate * 2^32). The gradient is the same function of dy with the same key.
  /// A dropped NaN becomes 0; a kept one stays.
  ///
  /// - Parameter rate: in [0, 1).
  func dropout(_ x: NDArray, rate: Float, _ key: RandomKey, into y: NDArray) throws(DeviceError)
}

/// The numbers that every device derives from a dropout rate in the same way.
package struct DropoutRate: Sendable {
  /// Words below it are dropped.
  package let threshold: UInt32
  /// What kept elements are multiplied by.
  package let scale: Float

  package init(_ rate: Float) {
    precondition(rate >= 0 && rate < 1)
    threshold = UInt32(Double(rate) * 0x1p32)
    scale = 1 / (1 - rate)
  }
}
