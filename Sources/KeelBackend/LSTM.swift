/// One time step of long short-term memory (Hochreiter & Schmidhuber, 1997) with the forget gate of
/// Gers, Schmidhuber & Cummins (2000): what lies between two matrix products.
///
/// Arrays are float32. A state has `batch` rows of `units` columns; four gates make rows of
/// 4 * units columns: input i, forget f, candidate g, output o, in this order.
package protocol LSTMBackend {
  /// With z = x + recurrent, cut into its four parts:
  /// i = sigmoid(z_i), f = sigmoid(z_f), g = tanh(z_g), o = sigmoid(z_o),
  /// cell = f * previous + i * g and hidden = o * tanh(cell).
  ///
  /// - Parameters:
  ///   - x: batch x 4 units: what comes from the input, bias included.
  ///   - recurrent: batch x 4 units: what comes from the hidden state before; nil stands for 0.
  ///   - previous: batch x units: the cell before; nil stands for 0. Nil where `recurrent` is.
  ///   - gates: batch x 4 units: receives i, f, g, o. May be `x`.
  ///   - cell, hidden: batch x units.
  func lstmCell(
    _ x: NDArray, recurrent: NDArray?, previous: NDArray?,
    into gates: NDArray, cell: NDArray, hidden: NDArray
  ) throws(DeviceError)

  /// With dh = dy + recurrent, t = tanh(cell) and dc = carried + dh * o * (1 - t * t):
  /// dz_i = dc * g * i * (1 - i), dz_f = dc * previous * f * (1 - f), dz_g = dc * i * (1 - g * g),
  /// dz_o = dh * t * o * (1 - o), and the cell before gets dc * f.
  ///
  /// - Parameters:
  ///   - gates, cell, previous: of ``lstmCell(_:recurrent:previous:into:cell:hidden:)``.
  ///   - dy: batch x units: what arrives at this step's output.
  ///   - dh: batch x units: what arrives from the step after through its matrix product; nil
  ///     stands for 0.
  ///   - carried: batch x units: what arrives at the cell from the step after; nil stands for 0.
  ///     Nil where `dh` is.
  ///   - dz: batch x 4 units: the gradient of x and of `recurrent`.
  ///   - dcell: batch x units: the gradient of `previous`. May be `carried`.
  func lstmCellGradient(
    gates: NDArray, cell: NDArray, previous: NDArray?, upstream dy: NDArray,
    recurrent dh: NDArray?, carried: NDArray?, into dz: NDArray, dcell: NDArray
  ) throws(DeviceError)
}
