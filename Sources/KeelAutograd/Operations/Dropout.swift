public import KeelBackend

extension Tensor {
  /// Dropout (Srivastava et al., 2014), inverted: y[i] = x[i] / (1 - rate) where word i of the
  /// key's sequence is at least floor(rate * 2^32), else 0. The gradient drops the same elements.
  ///
  /// Rate 0 gives this tensor itself. A fresh key (``RandomKey/step``) gives a fresh mask.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the rate is in 0 ..< 1.
  public func dropout(rate: Float, key: RandomKey) throws(TensorError) -> Tensor {
    try requireFloat("dropout", self)
    try require(rate >= 0 && rate < 1, "dropout", "a rate in 0 ..< 1", got: rate)
    try requireWords(shape, "dropout")
    if rate == 0 { return self }
    let (x, backend) = (value, backend)
    return try record(.dropout, [self], shape: shape, dtype: dtype) { (y) throws(DeviceError) in
      try backend.dropout(x, rate: rate, key, into: y)
    } pullback: { (dy, dx) throws(DeviceError) in
      if let destination = dx[0] { try backend.dropout(dy, rate: rate, key, into: destination) }
    }
  }
}
