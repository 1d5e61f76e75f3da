internal import CKeelLoops
internal import KeelBackend

extension CPUBackend {
  /// Counts a launch and runs `body(step, begin, end)` over the rows of the batch.
  func overCells(
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
struct RecurrentStep {
  let batch: Int
  let loop: keel_recurrent_step

  init(_ geometry: RecurrentGeometry, _ time: Int, previous: Int?, hasLater: Bool) {
    batch = geometry.batch
    loop = keel_recurrent_step(
      units: geometry.units, steps: geometry.steps, time: time, previous: previous ?? 0,
      has_state: previous != nil, has_later: hasLater)
  }
}
