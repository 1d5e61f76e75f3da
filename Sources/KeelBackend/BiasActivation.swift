/// The gradient of a fused bias and activation: what dense and convolution share.
package protocol BiasActivationBackend {
  /// For y = activation(z + bias):
  /// dz[r, c] = dy[r, c] * activation'(y[r, c]) and db[c] = sum over r of dz[r, c].
  ///
  /// The activation is fusable: its derivative is a function of y. The sum runs over a fixed tree.
  ///
  /// - Parameters:
  ///   - y: the output, any shape whose last axis has `columns` elements.
  ///   - dy: the gradient that arrives, same shape.
  ///   - dz: same shape, or nil where it is not needed (identity: it equals dy). May be `dy`.
  ///   - db: columns, or nil where there is no bias.
  func biasActivationGradient(
    output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError)
}

extension Backend {
  /// The gradient before bias and activation, dz, in place of `dy`; writes that of the bias where
  /// there is one.
  ///
  /// - Parameter needsInner: whether dz is used; if not, only the bias' gradient is made.
  package func pullEpilogue(
    _ activation: Activation, output y: NDArray, upstream dy: NDArray, bias db: NDArray?,
    needsInner: Bool = true
  ) throws(DeviceError) {
    let dz = activation == .identity || !needsInner ? nil : dy
    if dz == nil && db == nil { return }
    try biasActivationGradient(
      output: y.asRows, upstream: dy.asRows, activation, into: dz?.asRows, bias: db)
  }
}
