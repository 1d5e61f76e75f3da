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
    var kept: GRUStates?
    let y = try compute(on: device, sequence.result) { (y) throws(DeviceError) in
      let states = try GRUStates(sequence)
      try states.hidden.store(into: y, outermost: .batch, sequence.backend)
      kept = states
    }
    let states = kept
    let inputs = [self, inputWeight, recurrentWeight] + (bias.map { [$0] } ?? [])
    return attach(.matmul, inputs, y, links: inputs.map { _ in .computed }) {
      (dy, dx) throws(DeviceError) in
      guard let states else { return }
      let (dz, dq) = try states.pull(sequence, upstream: dy, tap: tap)
      try sequence.finish(dz: dz, dq: dq, hidden: states.hidden, into: dx)
    }
  }
}

private enum Gate {
  static let reset = 0
  static let update = 1
  static let candidate = 2
}

/// What the forward pass computes for each step.
private struct GRUStates {
  /// r, u, n.
  let gates: TimeSlots
  /// The products of the states before: q, in the same parts.
  let products: TimeSlots
  let hidden: TimeSlots
  /// The state before the first step.
  let start: NDArray

  /// Runs through time.
  init(_ sequence: RecurrentSequence) throws(DeviceError) {
    let (backend, units) = (sequence.backend, sequence.units)
    gates = try sequence.project(parts: 3)
    products = try sequence.slots(parts: 3, columns: units)
    hidden = try sequence.slots(columns: units)
    start = try backend.newArray([sequence.batch, units])
    try backend.fill(start, with: 0)
    let product = try backend.newArray([sequence.batch, 3 * units])
    for (time, previous) in sequence.order {
      let state = previous.map { hidden[$0] } ?? start
      try sequence.multiply(state: state, into: product)
      try products.load(step: time, product, backend)
      for gate in [Gate.reset, Gate.update] {
        try backend.pointwise(
          (.x + .y).sigmoid(), [gates[time, gate], products[time, gate]], into: gates[time, gate])
      }
      let (update, candidate) = (gates[time, Gate.update], gates[time, Gate.candidate])
      try backend.pointwise(
        (.x + .y * .z).tanh(),
        [candidate, gates[time, Gate.reset], products[time, Gate.candidate]], into: candidate)
      try backend.pointwise(
        (1 - .x) * .y + .x * .z, [update, candidate, state], into: hidden[time])
    }
  }

  /// Runs back through time: the gradients of z (one step after the other) and of q.
  func pull(
    _ sequence: RecurrentSequence, upstream dy: NDArray, tap: StateTap?
  ) throws(DeviceError) -> (dz: NDArray, dq: TimeSlots) {
    let (backend, units) = (sequence.backend, sequence.units)
    let dh = try sequence.slots(columns: units)
    try dh.load(dy, outermost: .batch, backend)
    let dq = try sequence.slots(parts: 3, columns: units)
    // z and q enter the reset and update gates alike; the candidate's z is not reset.
    let dcandidate = try sequence.slots(columns: units)
    let flow = try backend.newArray([sequence.batch, 3 * units])
    let back = try backend.newArray([sequence.batch, units])
    var later: Int?
    for (time, previous) in sequence.order.reversed() {
      if let later {
        try dq.store(step: later, into: flow, backend)
        try sequence.pull(flow: flow, into: back)
        try backend.pointwise(
          .x + .y + .z * .input(3), [dh[time], back, dh[later], gates[later, Gate.update]],
          into: dh[time])
      }
      try tap?(time, dh[time])
      try pullCell(
        time, state: previous.map { hidden[$0] } ?? start, dh[time], into: dq,
        candidate: dcandidate[time], backend)
      later = time
    }
    let dz = try backend.newArray([sequence.steps * sequence.batch, 3 * units])
    try dq.store(into: dz, outermost: .time, backend)
    try dcandidate.store(into: dz, part: Gate.candidate, of: 3, backend)
    return (dz, dq)
  }

  /// One step: from the gradient of its hidden state to those of its q and of its candidate's z.
  private func pullCell(
    _ time: Int, state: NDArray, _ dh: NDArray, into dq: TimeSlots, candidate dn: NDArray,
    _ backend: any Backend
  ) throws(DeviceError) {
    let (r, u, n) = (
      gates[time, Gate.reset], gates[time, Gate.update], gates[time, Gate.candidate]
    )
    let fourth = Expression.input(3)
    try backend.pointwise(
      .x * (.y - .z) * (fourth * (1 - fourth)), [dh, state, n, u], into: dq[time, Gate.update])
    try backend.pointwise(.x * (1 - .y) * (1 - .z * .z), [dh, u, n], into: dn)
    try backend.pointwise(
      .x * .y * (.z * (1 - .z)), [dn, products[time, Gate.candidate], r],
      into: dq[time, Gate.reset])
    try backend.pointwise(.x * .y, [dn, r], into: dq[time, Gate.candidate])
  }
}
