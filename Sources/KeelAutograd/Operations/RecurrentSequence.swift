package import KeelBackend

/// Is told the gradient of a hidden state (batch x units) at a time step, during a backward pass.
/// The array is the listener's to read until it returns.
package typealias StateTap = (_ time: Int, _ gradient: NDArray) throws(DeviceError) -> Void

/// What recurrent operations share: the checked operands, the products over all time steps at once,
/// and the order of time.
///
/// With x: batch x steps x features and g gates: z[b, t] = x[b, t] · W + bias is one product for
/// all steps; the gradients of W, bias, x and the recurrent weight are one each.
struct RecurrentSequence {
  let backend: any Backend
  let batch: Int
  let steps: Int
  let features: Int
  let units: Int
  let gates: Int
  let isReversed: Bool
  let x: NDArray
  let inputWeight: NDArray
  let recurrentWeight: NDArray
  let bias: NDArray?

  init(
    _ operation: String, _ x: Tensor, _ inputWeight: Tensor, _ recurrentWeight: Tensor,
    _ bias: Tensor?, gates: Int, isReversed: Bool
  ) throws(TensorError) {
    try requireFloat(operation, x, inputWeight, recurrentWeight, bias)
    try requireOneDevice(operation, [x, inputWeight, recurrentWeight, bias])
    guard x.shape.rank == 3 else {
      throw .shape(
        ShapeError(operation, requires: "an input of batch x steps x features", got: x.shape))
    }
    let units = recurrentWeight.shape.extents.first ?? 0
    guard units > 0, recurrentWeight.shape == [units, gates * units] else {
      let columns = gates == 1 ? "units" : "\(gates) units"
      throw .shape(
        ShapeError(
          operation, requires: "a recurrent weight of units x \(columns), not empty",
          got: recurrentWeight.shape))
    }
    guard inputWeight.shape == [x.shape[2], gates * units] else {
      throw .shape(
        ShapeError(
          operation, requires: "an input weight of shape \(x.shape[2])x\(gates * units)",
          got: inputWeight.shape))
    }
    try requireVector(operation, "bias", bias, gates * units)
    try requireUsable(Shape([x.shape[0], x.shape[1], gates * units]), operation)
    backend = x.backend
    batch = x.shape[0]
    steps = x.shape[1]
    features = x.shape[2]
    self.units = units
    self.gates = gates
    self.isReversed = isReversed
    self.x = x.value
    self.inputWeight = inputWeight.value
    self.recurrentWeight = recurrentWeight.value
    self.bias = bias?.value
  }

  /// The shape of all hidden states.
  var result: Shape { [batch, steps, units] }

  /// The time steps in the order of computation, each with the one before.
  var order: [(time: Int, previous: Int?)] { geometry.order }

  func slots(columns: Int) throws(DeviceError) -> TimeSlots {
    try TimeSlots(backend, steps: steps, batch: batch, columns: columns)
  }

  /// x · W + bias for every step.
  func project() throws(DeviceError) -> TimeSlots {
    let columns = gates * units
    let slots = try slots(columns: columns)
    let geometry = MatmulGeometry(rows: steps * batch, inner: features, columns: columns)
    let inputs = try inputsByTime()
    if let product = slots.joined {
      try backend.matmul(inputs, inputWeight, geometry, Epilogue(bias: bias), into: product)
    } else {
      let product = try backend.newArray([steps, batch, columns])
      try backend.matmul(inputs, inputWeight, geometry, Epilogue(bias: bias), into: product)
      try slots.load(product, outermost: .time, backend)
    }
    return slots
  }

  /// x in the order of the slots, steps x batch x features: it is narrower than what the gates
  /// make of it, which then needs no copy.
  private func inputsByTime() throws(DeviceError) -> NDArray {
    let inputs = try backend.newArray([steps, batch, features])
    try backend.stridedCopy(
      x, StridedPattern(strides: [features, steps * features, 1]), into: inputs,
      StridedPattern(strides: [batch * features, features, 1]), extents: [steps, batch, features])
    return inputs
  }

  /// state · U: batch x (gates * units).
  func multiply(state: NDArray, into product: NDArray) throws(DeviceError) {
    let geometry = MatmulGeometry(rows: batch, inner: units, columns: gates * units)
    try backend.matmul(state, recurrentWeight, geometry, .none, into: product)
  }

  /// flow · Uᵀ: what a step's gradient sends to the hidden state before.
  func pull(flow: NDArray, into state: NDArray) throws(DeviceError) {
    let geometry = MatmulGeometry(
      rows: batch, inner: gates * units, columns: units, transposeRight: true)
    try backend.matmul(flow, recurrentWeight, geometry, .none, into: state)
  }

  /// The gradients of x, W, U and bias (where asked for) from those of all steps' products.
  ///
  /// - Parameters:
  ///   - dz: (steps * batch) x (gates * units), one step after the other: of x · W + bias.
  ///   - dq: of the states' products with U.
  ///   - hidden: the state after each step.
  func finish(
    dz: NDArray, dq: TimeSlots, hidden: TimeSlots, into dx: [NDArray?]
  ) throws(DeviceError) {
    let (rows, columns) = (steps * batch, gates * units)
    if let destination = dx[0] {
      let product = MatmulGeometry(
        rows: rows, inner: columns, columns: features, transposeRight: true)
      let byTime = try backend.newArray([steps, batch, features])
      try backend.matmul(dz, inputWeight, product, .none, into: byTime)
      try backend.stridedCopy(
        byTime, StridedPattern(strides: [features, batch * features, 1]), into: destination,
        StridedPattern(strides: [steps * features, features, 1]),
        extents: [batch, steps, features])
    }
    if let destination = dx[1] {
      let product = MatmulGeometry(
        rows: features, inner: rows, columns: columns, transposeLeft: true)
      try backend.matmul(try inputsByTime(), dz, product, .none, into: destination)
    }
    if let destination = dx[2] { try pullRecurrentWeight(dq, hidden, into: destination) }
    if dx.count > 3, let destination = dx[3] {
      try backend.reduce(.sum, dz, axes: [0], into: destination)
    }
  }

  /// The sum over all steps but the first of stateᵀ · dq: the state before each, its product's
  /// gradient.
  private func pullRecurrentWeight(
    _ dq: TimeSlots, _ hidden: TimeSlots, into destination: NDArray
  ) throws(DeviceError) {
    if steps < 2 || batch == 0 { return try backend.fill(destination, with: 0) }
    let (early, late) = (0..<(steps - 1), 1..<steps)
    let states = try hidden.rows(of: isReversed ? late : early, backend)
    let flow = try dq.rows(of: isReversed ? early : late, backend)
    let product = MatmulGeometry(
      rows: units, inner: (steps - 1) * batch, columns: gates * units, transposeLeft: true)
    try backend.matmul(states, flow, product, .none, into: destination)
  }
}
