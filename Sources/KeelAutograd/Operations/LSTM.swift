public import KeelBackend

extension Tensor {
  /// Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate: Gers et al., 2000) over
  /// a sequence, from states of 0: batch x steps x features becomes batch x steps x units, the
  /// hidden state after each step.
  ///
  /// With z[t] = x[t] · inputWeight + bias + h[t - 1] · recurrentWeight, cut into four parts of
  /// `units` columns in the order i, f, g, o:
  /// c[t] = sigmoid(z_f) * c[t - 1] + sigmoid(z_i) * tanh(z_g) and
  /// h[t] = sigmoid(z_o) * tanh(c[t]).
  ///
  /// All time steps are one operation of the device; the gradient goes back through time in one
  /// pullback.
  ///
  /// - Parameters:
  ///   - inputWeight: features x 4 units.
  ///   - recurrentWeight: units x 4 units.
  ///   - bias: 4 units; nil means 0.
  ///   - reversed: whether time runs from the last step to the first.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit.
  public func lstm(
    inputWeight: Tensor, recurrentWeight: Tensor, bias: Tensor? = nil, reversed: Bool = false
  ) throws(TensorError) -> Tensor {
    try lstm(
      inputWeight: inputWeight, recurrentWeight: recurrentWeight, bias: bias, reversed: reversed,
      tap: nil)
  }

  /// The same, with somebody who is told the gradient of every hidden state.
  package func lstm(
    inputWeight: Tensor, recurrentWeight: Tensor, bias: Tensor?, reversed: Bool, tap: StateTap?
  ) throws(TensorError) -> Tensor {
    let sequence = try RecurrentSequence(
      "lstm", self, inputWeight, recurrentWeight, bias, gates: 4, isReversed: reversed)
    let geometry = sequence.geometry
    var kept: LSTMStates?
    let dtype = dtype
    let y = try compute(on: device, sequence.result, dtype) { (y) throws(DeviceError) in
      // Kept like the result: what goes from step to step inside the operation is float32.
      let states = try LSTMStates(geometry, dtype, sequence.backend)
      try sequence.backend.lstm(
        sequence.x, inputWeight: sequence.inputWeight, recurrentWeight: sequence.recurrentWeight,
        bias: sequence.bias, geometry, into: y, states: states)
      kept = states
    }
    let states = kept
    let inputs = [self, inputWeight, recurrentWeight] + (bias.map { [$0] } ?? [])
    return attach(.lstm, inputs, y, links: inputs.map { _ in .computed }) {
      (dy, dx) throws(DeviceError) in
      guard let states else { return }
      let dz = try sequence.backend.newArray([geometry.rows, 4 * geometry.units])
      let dh = tap == nil ? nil : try sequence.backend.newArray(sequence.result)
      try sequence.backend.lstmGradient(
        states, recurrentWeight: sequence.recurrentWeight, upstream: dy, geometry, into: dz,
        hidden: dh)
      if let tap, let dh { try geometry.tell(tap, dh, sequence.backend) }
      try sequence.finish(dz: dz, dq: dz, before: states.before, into: dx)
    }
  }
}

extension LSTMStates {
  fileprivate init(
    _ geometry: RecurrentGeometry, _ dtype: DType, _ backend: any Backend
  ) throws(DeviceError) {
    let (batch, steps, units) = (geometry.batch, geometry.steps, geometry.units)
    self.init(
      gates: try backend.newArray([batch, steps, 4 * units], dtype),
      cells: try backend.newArray([batch, steps, units], dtype),
      before: try backend.newArray([batch, steps, units], dtype))
  }
}
