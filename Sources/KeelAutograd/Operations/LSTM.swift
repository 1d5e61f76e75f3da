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
    let geometry = LSTMGeometry(
      batch: sequence.batch, steps: sequence.steps, features: sequence.features,
      units: sequence.units, isReversed: reversed)
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
      try sequence.finish(dz: dz, before: states.before, into: dx)
    }
  }
}

extension LSTMStates {
  fileprivate init(
    _ geometry: LSTMGeometry, _ dtype: DType, _ backend: any Backend
  ) throws(DeviceError) {
    let (batch, steps, units) = (geometry.batch, geometry.steps, geometry.units)
    self.init(
      gates: try backend.newArray([batch, steps, 4 * units], dtype),
      cells: try backend.newArray([batch, steps, units], dtype),
      before: try backend.newArray([batch, steps, units], dtype))
  }
}

extension LSTMGeometry {
  /// Tells a listener the gradient of every hidden state, last step first.
  fileprivate func tell(
    _ tap: StateTap, _ dh: NDArray, _ backend: any Backend
  ) throws(DeviceError) {
    let step = try backend.newArray([batch, units])
    for (time, _) in order.reversed() {
      try backend.stridedCopy(
        dh, StridedPattern(offset: time * units, strides: [steps * units, 1]), into: step,
        StridedPattern(strides: [units, 1]), extents: [batch, units])
      try tap(time, step)
    }
  }
}

extension RecurrentSequence {
  /// The gradients of x, W, U and bias (where asked for) from that of
  /// z = x · W + bias + before · U, rows in the order of x.
  fileprivate func finish(
    dz: NDArray, before: NDArray, into dx: [NDArray?]
  ) throws(DeviceError) {
    let (rows, columns) = (batch * steps, gates * units)
    if let destination = dx[0] {
      let product = MatmulGeometry(
        rows: rows, inner: columns, columns: features, transposeRight: true)
      try backend.matmul(dz, inputWeight, product, .none, into: destination)
    }
    for (operand, extent, destination) in [(x, features, dx[1]), (before, units, dx[2])] {
      guard let destination else { continue }
      let product = MatmulGeometry(rows: extent, inner: rows, columns: columns, transposeLeft: true)
      try backend.matmul(operand, dz, product, .none, into: destination)
    }
    if dx.count > 3, let destination = dx[3] {
      try backend.reduce(.sum, dz, axes: [0], into: destination)
    }
  }
}
