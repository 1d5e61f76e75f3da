internal import CKeelLoops
internal import KeelBackend

/// Sums and states of one time step, batch x columns each.
struct RecurrentScratch {
  /// The product with the recurrent weight.
  let sums: UnsafeMutablePointer<Float>
  /// What the next product reads, row by row.
  let compact: UnsafeMutablePointer<Float>
}

extension CPUBackend {
  /// Forward through time: the product of all inputs, then for each step the product with the state
  /// before and the cells, which leave the state in `compact`.
  ///
  /// - Parameters:
  ///   - gates: batch x steps x columns, which receives the inputs' product.
  ///   - cells: computes rows begin ..< end of a step.
  func throughTime(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, gates: NDArray, columns: Int,
    cells: (
      _ scratch: RecurrentScratch, _ step: UnsafePointer<keel_recurrent_step>, _ begin: Int,
      _ end: Int
    ) -> Void
  ) throws(DeviceError) {
    let (batch, units) = (geometry.batch, geometry.units)
    let projection = MatmulGeometry(
      rows: geometry.rows, inner: geometry.features, columns: columns)
    try matmul(x, inputWeight, projection, Epilogue(bias: bias), into: gates)
    let recurrence = MatmulGeometry(rows: batch, inner: units, columns: columns)
    let product = try allocate([batch, columns], .float32)
    let state = try allocate([batch, units], .float32)
    let scratch = RecurrentScratch(sums: product.floats, compact: state.floats)
    // Their memory is used through pointers.
    defer { withExtendedLifetime((product, state)) {} }
    for (time, previous) in geometry.order {
      if previous != nil { try matmul(state, recurrentWeight, recurrence, .none, into: product) }
      overCells(RecurrentStep(geometry, time, previous: previous, hasLater: false)) {
        step, begin, end in cells(scratch, step, begin, end)
      }
    }
  }

  /// Back through time: for each step the product of the later one's gradient and the cells, which
  /// leave their gradient in `compact` and carry on what needs no product.
  ///
  /// - Parameter cells: computes rows begin ..< end of a step; `carried` is batch x units.
  func backThroughTime(
    recurrentWeight: NDArray, _ geometry: RecurrentGeometry, columns: Int,
    cells: (
      _ scratch: RecurrentScratch, _ carried: UnsafeMutablePointer<Float>,
      _ step: UnsafePointer<keel_recurrent_step>, _ begin: Int, _ end: Int
    ) -> Void
  ) throws(DeviceError) {
    let (batch, units) = (geometry.batch, geometry.units)
    let recurrence = MatmulGeometry(
      rows: batch, inner: columns, columns: units, transposeRight: true)
    let product = try allocate([batch, units], .float32)
    let carried = try allocate([batch, units], .float32)
    let flow = try allocate([batch, columns], .float32)
    let (carry, scratch) = (
      carried.floats, RecurrentScratch(sums: product.floats, compact: flow.floats)
    )
    // Their memory is used through pointers.
    defer { withExtendedLifetime((product, carried, flow)) {} }
    var hasLater = false
    for (time, previous) in geometry.order.reversed() {
      if hasLater { try matmul(flow, recurrentWeight, recurrence, .none, into: product) }
      overCells(RecurrentStep(geometry, time, previous: previous, hasLater: hasLater)) {
        step, begin, end in cells(scratch, carry, step, begin, end)
      }
      hasLater = true
    }
  }

  /// Counts a launch and runs `body(step, begin, end)` over the rows of the batch.
  private func overCells(
    _ step: RecurrentStep,
    _ body: (_ step: UnsafePointer<keel_recurrent_step>, _ begin: Int, _ end: Int) -> Void
  ) {
    countLaunch()
    // Five exponentials per unit: parts are smaller than those of a copy.
    inRows(step.batch, columns: 16 * step.loop.units) { begin, end in
      var loop = step.loop
      body(&loop, begin, end)
    }
  }
}

/// One time step, as the loops are told it.
private struct RecurrentStep {
  let batch: Int
  let loop: keel_recurrent_step

  init(_ geometry: RecurrentGeometry, _ time: Int, previous: Int?, hasLater: Bool) {
    batch = geometry.batch
    loop = keel_recurrent_step(
      units: geometry.units, steps: geometry.steps, time: time, previous: previous ?? 0,
      has_state: previous != nil, has_later: hasLater)
  }
}
