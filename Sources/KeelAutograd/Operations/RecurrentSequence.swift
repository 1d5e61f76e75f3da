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
  var order: [(time: Int, previous: Int?)] {
    let times = isReversed ? Array((0..<steps).reversed()) : Array(0..<steps)
    return times.indices.map { (times[$0], $0 == 0 ? nil : times[$0 - 1]) }
  }

  func slots(parts: Int = 1, columns: Int) throws(DeviceError) -> TimeSlots {
    try TimeSlots(backend, steps: steps, parts: parts, batch: batch, columns: columns)
  }

  /// x · W + bias for every step, cut into `parts`.
  func project(parts: Int) throws(DeviceError) -> TimeSlots {
    let columns = gates * units
    let together = try backend.newArray([batch, steps, columns])
    let geometry = MatmulGeometry(rows: batch * steps, inner: features, columns: columns)
    try backend.matmul(x, inputWeight, geometry, Epilogue(bias: bias), into: together)
    let slots = try slots(parts: parts, columns: columns / parts)
    try slots.load(together, backend)
    return slots
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
  ///   - dz: batch x steps x (gates * units): of x · W + bias.
  ///   - dq: the same: of the states' products with U.
  ///   - hidden: batch x steps x units: the result.
  func finish(
    dz: NDArray, dq: NDArray, hidden: NDArray, into dx: [NDArray?]
  ) throws(DeviceError) {
    let (rows, columns) = (batch * steps, gates * units)
    if let destination = dx[0] {
      let product = MatmulGeometry(
        rows: rows, inner: columns, columns: features, transposeRight: true)
      try backend.matmul(dz, inputWeight, product, .none, into: destination)
    }
    if let destination = dx[1] {
      let product = MatmulGeometry(
        rows: features, inner: rows, columns: columns, transposeLeft: true)
      try backend.matmul(x, dz, product, .none, into: destination)
    }
    if let destination = dx[2] {
      let product = MatmulGeometry(
        rows: units, inner: rows, columns: columns, transposeLeft: true)
      try backend.matmul(try statesBefore(hidden), dq, product, .none, into: destination)
    }
    if dx.count > 3, let destination = dx[3] {
      try backend.reduce(.sum, dz.reshaped([rows, columns]), axes: [0], into: destination)
    }
  }

  /// The hidden state before each step, 0 before the first: batch x steps x units.
  private func statesBefore(_ hidden: NDArray) throws(DeviceError) -> NDArray {
    let before = try backend.newArray(result)
    try backend.fill(before, with: 0)
    guard steps > 1 else { return before }
    let strides = [steps * units, units, 1]
    let (late, early) = (
      StridedPattern(offset: units, strides: strides), StridedPattern(strides: strides)
    )
    try backend.stridedCopy(
      hidden, isReversed ? late : early, into: before, isReversed ? early : late,
      extents: [batch, steps - 1, units])
    return before
  }
}
