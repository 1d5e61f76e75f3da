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
  /// The products of all inputs are one; each step adds one product and one fused kernel. The
  /// gradient goes back through time in one pullback.
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
    var kept: LSTMStates?
    let y = try compute(on: device, sequence.result) { (y) throws(DeviceError) in
      let states = try LSTMStates(sequence)
      try states.hidden.store(into: y, outermost: .batch, sequence.backend)
      kept = states
    }
    let states = kept
    let inputs = [self, inputWeight, recurrentWeight] + (bias.map { [$0] } ?? [])
    return attach(.lstm, inputs, y, links: inputs.map { _ in .computed }) {
      (dy, dx) throws(DeviceError) in
      guard let states else { return }
      let dz = try states.pull(sequence, upstream: dy, tap: tap)
      let rows = try dz.rows(of: 0..<sequence.steps, sequence.backend)
      try sequence.finish(dz: rows, dq: dz, hidden: states.hidden, into: dx)
    }
  }
}

/// What the forward pass computes for each step.
private struct LSTMStates {
  /// i, f, g, o.
  let gates: TimeSlots
  let cells: TimeSlots
  let hidden: TimeSlots

  /// Runs through time.
  init(_ sequence: RecurrentSequence) throws(DeviceError) {
    let backend = sequence.backend
    gates = try sequence.project(parts: 1)
    cells = try sequence.slots(columns: sequence.units)
    hidden = try sequence.slots(columns: sequence.units)
    let product = try backend.newArray([sequence.batch, 4 * sequence.units])
    for (time, previous) in sequence.order {
      if let previous { try sequence.multiply(state: hidden[previous], into: product) }
      try backend.lstmCell(
        gates[time], recurrent: previous.map { _ in product }, previous: previous.map { cells[$0] },
        into: gates[time], cell: cells[time], hidden: hidden[time])
    }
  }

  /// Runs back through time: the gradient of z for every step.
  func pull(
    _ sequence: RecurrentSequence, upstream dy: NDArray, tap: StateTap?
  ) throws(DeviceError) -> TimeSlots {
    let (backend, units) = (sequence.backend, sequence.units)
    let arriving = try sequence.slots(columns: units)
    try arriving.load(dy, outermost: .batch, backend)
    let dz = try sequence.slots(columns: 4 * units)
    let (dh, dcell) = (
      try backend.newArray([sequence.batch, units]), try backend.newArray([sequence.batch, units])
    )
    var later: Int?
    for (time, previous) in sequence.order.reversed() {
      if let later { try sequence.pull(flow: dz[later], into: dh) }
      if let tap {
        let whole = try backend.newArray([sequence.batch, units])
        try backend.pointwise(
          later == nil ? .x : .x + .y, later == nil ? [arriving[time]] : [arriving[time], dh],
          into: whole)
        try tap(time, whole)
      }
      try backend.lstmCellGradient(
        gates: gates[time], cell: cells[time], previous: previous.map { cells[$0] },
        upstream: arriving[time], recurrent: later.map { _ in dh },
        carried: later.map { _ in dcell }, into: dz[time], dcell: dcell)
      later = time
    }
    return dz
  }
}
