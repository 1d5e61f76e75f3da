public import KeelBackend

extension Tensor {
  /// The gated recurrent unit (Cho et al., 2014) over a sequence, from a state of 0: batch x steps
  /// x features becomes batch x steps x units, the hidden state after each step.
  ///
  /// With z = x[t] · inputWeight + bias and q = h[t - 1] · recurrentWeight, each cut into three
  /// parts of `units` columns in the order reset, update, candidate:
  /// r = sigmoid(z_r + q_r), u = sigmoid(z_u + q_u), n = tanh(z_n + r * q_n) and
  /// h[t] = (1 - u) * n + u * h[t - 1].
  ///
  /// The reset gate acts after the product, as in most libraries, so that a step has one product.
  ///
  /// - Parameters:
  ///   - inputWeight: features x 3 units.
  ///   - recurrentWeight: units x 3 units.
  ///   - bias: 3 units; nil means 0.
  ///   - reversed: whether time runs from the last step to the first.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit.
  public func gru(
    inputWeight: Tensor, recurrentWeight: Tensor, bias: Tensor? = nil, reversed: Bool = false
  ) throws(TensorError) -> Tensor {
    try gru(
      inputWeight: inputWeight, recurrentWeight: recurrentWeight, bias: bias, reversed: reversed,
      tap: nil)
  }

  /// The same, with somebody who is told the gradient of every hidden state.
  package func gru(
    inputWeight: Tensor, recurrentWeight: Tensor, bias: Tensor?, reversed: Bool, tap: StateTap?
  ) throws(TensorError) -> Tensor {
    let sequence = try RecurrentSequence(
      "gru", self, inputWeight, recurrentWeight, bias, gates: 3, isReversed: reversed)
    let geometry = sequence.geometry
    var kept: GRUStates?
    let dtype = dtype
    let y = try compute(on: device, sequence.result, dtype) { (y) throws(DeviceError) in
      // Kept like the result: what goes from step to step inside the operation is float32.
      let states = try GRUStates(geometry, dtype, sequence.backend)
      try sequence.backend.gru(
        sequence.x, inputWeight: sequence.inputWeight, recurrentWeight: sequence.recurrentWeight,
        bias: sequence.bias, geometry, into: y, states: states)
      kept = states
    }
    let states = kept
    let inputs = [self, inputWeight, recurrentWeight] + (bias.map { [$0] } ?? [])
    return attach(.gru, inputs, y, links: inputs.map { _ in .computed }) {
      (dy, dx) throws(DeviceError) in
      guard let states else { return }
      let backend = sequence.backend
      let dz = try backend.newArray([geometry.rows, 3 * geometry.units])
      let dq = try backend.newArray([geometry.rows, 3 * geometry.units])
      let dh = tap == nil ? nil : try backend.newArray(sequence.result)
      try backend.gruGradient(
        states, recurrentWeight: sequence.recurrentWeight, upstream: dy, geometry, into: dz,
        products: dq, hidden: dh)
      if let tap, let dh { try geometry.tell(tap, dh, backend) }
      try sequence.finish(dz: dz, dq: dq, before: states.before, into: dx)
    }
  }
}

extension GRUStates {
  fileprivate init(
    _ geometry: RecurrentGeometry, _ dtype: DType, _ backend: any Backend
  ) throws(DeviceError) {
    let (batch, steps, units) = (geometry.batch, geometry.steps, geometry.units)
    self.init(
      gates: try backend.newArray([batch, steps, 3 * units], dtype),
      products: try backend.newArray([batch, steps, units], dtype),
      before: try backend.newArray([batch, steps, units], dtype))
  }
}
