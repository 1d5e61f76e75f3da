/// What the forward pass of long short-term memory keeps for its gradient.
package struct LSTMStates: Sendable {
  /// i, f, g, o: batch x steps x 4 units.
  package var gates: NDArray
  /// Batch x steps x units.
  package var cells: NDArray
  /// The hidden state before each step, 0 at the first: batch x steps x units.
  package var before: NDArray

  package init(gates: NDArray, cells: NDArray, before: NDArray) {
    self.gates = gates
    self.cells = cells
    self.before = before
  }
}

/// Long short-term memory (Hochreiter & Schmidhuber, 1997) with the forget gate of Gers,
/// Schmidhuber & Cummins (2000) over whole sequences, from states of 0.
///
/// Arrays are float32. Four gates make rows of 4 * units columns: input i, forget f, candidate g,
/// output o, in this order. The step before t is called p.
package protocol LSTMBackend {
  /// With z = bias + x[t] · inputWeight + y[p] · recurrentWeight, cut into its four parts:
  /// i = sigmoid(z_i), f = sigmoid(z_f), g = tanh(z_g), o = sigmoid(z_o),
  /// cells[t] = f * cells[p] + i * g, y[t] = o * tanh(cells[t]), before[t] = y[p].
  ///
  /// - Parameters:
  ///   - x: batch x steps x features.
  ///   - inputWeight: features x 4 units.
  ///   - recurrentWeight: units x 4 units.
  ///   - bias: 4 units; nil stands for 0.
  ///   - y: batch x steps x units.
  ///   - states: receives gates, cells and states before.
  func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError)

  /// With a the step after t, dh[t] = dy[t] + dz[a] · recurrentWeightᵀ, h = tanh(cells[t]) and
  /// dc[t] = dc[a] * f[a] + dh[t] * o * (1 - h * h):
  /// dz_i = dc * g * i * (1 - i), dz_f = dc * cells[p] * f * (1 - f), dz_g = dc * i * (1 - g * g),
  /// dz_o = dh * h * o * (1 - o).
  ///
  /// - Parameters:
  ///   - states: gates and cells of ``lstm(_:inputWeight:recurrentWeight:bias:_:into:states:)``.
  ///   - dy: batch x steps x units: what arrives at the hidden states from outside.
  ///   - dz: batch x steps x 4 units: the gradient of z.
  ///   - dh: batch x steps x units: receives the whole gradient of the hidden states; nil if nobody
  ///     asks.
  func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError)
}
