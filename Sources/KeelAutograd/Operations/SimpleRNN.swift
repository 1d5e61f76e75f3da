public import KeelBackend

extension Tensor {
  /// The plain recurrent network (Elman, 1990) over a sequence, from a state of 0: batch x steps x
  /// features becomes batch x steps x units,
  /// h[t] = activation(x[t] · inputWeight + bias + h[t - 1] · recurrentWeight).
  ///
  /// - Parameters:
  ///   - inputWeight: features x units.
  ///   - recurrentWeight: units x units.
  ///   - bias: units; nil means 0.
  ///   - activation: one whose derivative follows from its output: identity, relu, leaky relu, elu,
  ///     sigmoid or tanh.
  ///   - reversed: whether time runs from the last step to the first.
  /// - Throws: ``TensorError/shape(_:)`` for operands that do not fit and other activations.
  public func simpleRNN(
    inputWeight: Tensor, recurrentWeight: Tensor, bias: Tensor? = nil,
    activation: Activation = .tanh, reversed: Bool = false
  ) throws(TensorError) -> Tensor {
    try simpleRNN(
      inputWeight: inputWeight, recurrentWeight: recurrentWeight, bias: bias,
      activation: activation, reversed: reversed, tap: nil)
  }

  /// The same, with somebody who is told the gradient of every hidden state.
  package func simpleRNN(
    inputWeight: Tensor, recurrentWeight: Tensor, bias: Tensor?, activation: Activation,
    reversed: Bool, tap: StateTap?
  ) throws(TensorError) -> Tensor {
    let sequence = try RecurrentSequence(
      "simpleRNN", self, inputWeight, recurrentWeight, bias, gates: 1, isReversed: reversed)
    try require(
      activation.isFusable, "simpleRNN",
      "identity, relu, leaky_relu (slope above 0), elu (alpha above 0), sigmoid or tanh",
      got: activation.name)
    var kept: TimeSlots?
    let y = try compute(on: device, sequence.result) { (y) throws(DeviceError) in
      let hidden = try sequence.plainStates(activation)
      try hidden.store(into: y, outermost: .batch, sequence.backend)
      kept = hidden
    }
    let hidden = kept
    let inputs = [self, inputWeight, recurrentWeight] + (bias.map { [$0] } ?? [])
    return attach(.matmul, inputs, y, links: inputs.map { _ in .computed }) {
      (dy, dx) throws(DeviceError) in
      guard let hidden else { return }
      let dz = try sequence.pullPlain(hidden, activation, upstream: dy, tap: tap)
      let rows = try dz.rows(of: 0..<sequence.steps, sequence.backend)
      try sequence.finish(dz: rows, dq: dz, hidden: hidden, into: dx)
    }
  }
}

extension RecurrentSequence {
  /// The hidden states, in place of what came from the input.
  fileprivate func plainStates(_ activation: Activation) throws(DeviceError) -> TimeSlots {
    let hidden = try project()
    let product = try backend.newArray([batch, units])
    for (time, previous) in order {
      let state = hidden[time]
      if let previous {
        try multiply(state: hidden[previous], into: product)
        try backend.pointwise(activation.of(.x + .y), [state, product], into: state)
      } else if activation != .identity {
        try backend.pointwise(activation.of(.x), [state], into: state)
      }
    }
    return hidden
  }

  /// The gradient of what goes into the activation, for every step.
  fileprivate func pullPlain(
    _ hidden: TimeSlots, _ activation: Activation, upstream dy: NDArray, tap: StateTap?
  ) throws(DeviceError) -> TimeSlots {
    let flow = try slots(columns: units)
    try flow.load(dy, outermost: .batch, backend)
    let dh = try backend.newArray([batch, units])
    var later: Int?
    for (time, _) in order.reversed() {
      let state = flow[time]
      if let later {
        try pull(flow: flow[later], into: dh)
        try backend.pointwise(.x + .y, [state, dh], into: state)
      }
      try tap?(time, state)
      if activation != .identity {
        try backend.biasActivationGradient(
          output: hidden[time], upstream: state, activation, into: state, bias: nil)
      }
      later = time
    }
    return flow
  }
}
