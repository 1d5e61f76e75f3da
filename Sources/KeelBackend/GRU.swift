/// What the forward pass of the gated recurrent unit keeps for its gradient.
package struct GRUStates: Sendable {
  /// r, u, n: batch x steps x 3 units.
  package var gates: NDArray
  /// The candidate's part of the state's product, q_n: batch x steps x units.
  package var products: NDArray
  /// The hidden state before each step, 0 at the first: batch x steps x units.
  package var before: NDArray

  package init(gates: NDArray, products: NDArray, before: NDArray) {
    self.gates = gates
    self.products = products
    self.before = before
  }
}

/// The gated recurrent unit (Cho et al., 2014) over whole sequences, from a state of 0.
///
/// Arrays are float32. Three gates make rows of 3 * units columns: reset r, update u, candidate n,
/// in this order. The step before t is called p.
package protocol GRUBackend {
  /// With z = bias + x[t] · inputWeight and q = y[p] · recurrentWeight, each cut into its three
  /// parts: r = sigmoid(z_r + q_r), u = sigmoid(z_u + q_u), n = tanh(z_n + r * q_n),
  /// y[t] = (1 - u) * n + u * y[p], before[t] = y[p].
  ///
  /// - Parameters:
  ///   - x: batch x steps x features.
  ///   - inputWeight: features x 3 units.
  ///   - recurrentWeight: units x 3 units.
  ///   - bias: 3 units; nil stands for 0.
  ///   - y: batch x steps x units.
  ///   - states: receives gates, products and states before.
  func gru(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: GRUStates
  ) throws(DeviceError)

  /// With a the step after t, dh[t] = dy[t] + dq[a] · recurrentWeightᵀ + dh[a] * u[a]:
  /// dz_n = dh * (1 - u) * (1 - n * n), dq_n = dz_n * r, dz_r = dq_r = dz_n * q_n * r * (1 - r),
  /// dz_u = dq_u = dh * (before - n) * u * (1 - u).
  ///
  /// - Parameters:
  ///   - states: of ``gru(_:inputWeight:recurrentWeight:bias:_:into:states:)``.
  ///   - dy: batch x steps x units: what arrives at the hidden states from outside.
  ///   - dz, dq: batch x steps x 3 units: the gradients of z and of q.
  ///   - dh: batch x steps x units: receives the whole gradient of the hidden states; nil if nobody
  ///     asks.
  func gruGradient(
    _ states: GRUStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, products dq: NDArray, hidden dh: NDArray?
  ) throws(DeviceError)
}
