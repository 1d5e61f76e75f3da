public import KeelBackend

// Nonlinearities. All give float32 in the tensor's shape; NaN stays NaN.

extension Tensor {
  /// max(x[i], 0); the derivative at 0 is 0.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func relu() throws(TensorError) -> Tensor {
    try activate("relu", .relu)
  }

  /// x[i] where x[i] > 0, else slope * x[i] (Maas et al., 2013).
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func leakyRelu(slope: Float = 0.01) throws(TensorError) -> Tensor {
    try activate("leakyRelu", .leakyRelu(slope: slope))
  }

  /// x[i] where x[i] > 0, else alpha * (exp(x[i]) - 1) (Clevert et al., 2015).
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func elu(alpha: Float = 1) throws(TensorError) -> Tensor {
    try activate("elu", .elu(alpha: alpha))
  }

  /// The logistic function 1 / (1 + exp(-x[i])).
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func sigmoid() throws(TensorError) -> Tensor {
    try activate("sigmoid", .sigmoid)
  }

  /// The hyperbolic tangent.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func tanh() throws(TensorError) -> Tensor {
    try activate("tanh", .tanh)
  }

  /// log(1 + exp(x[i])), computed without overflow.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func softplus() throws(TensorError) -> Tensor {
    try activate("softplus", .softplus)
  }

  /// x[i] * Φ(x[i]), with the exact normal distribution function (Hendrycks & Gimpel, 2016).
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func gelu() throws(TensorError) -> Tensor {
    try activate("gelu", .gelu)
  }

  /// x[i] * sigmoid(x[i]), also called swish (Elfwing et al., 2018).
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func silu() throws(TensorError) -> Tensor {
    try activate("silu", .silu)
  }

  /// The nonlinearity of each element; ``Activation/identity`` gives this tensor itself.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public func activation(_ activation: Activation) throws(TensorError) -> Tensor {
    try activate("activation", activation)
  }

  func activate(_ operation: String, _ activation: Activation) throws(TensorError) -> Tensor {
    if activation == .identity, dtype.isFloat { return self }
    return try pointwise(operation, activation.expression, [self])
  }
}
