import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

/// Goes back as a ``RewindPlan`` says, in a training of the lab, where each step is known at once.
struct LabRewinder {
  enum Answer { case goOn, stop }

  /// Positions that are left out.
  private(set) var excluded: Set<Int> = []
  private let plan: RewindPlan
  private var detector: SpikeDetector?
  private var rewinds = 0
  private let pairs: [(source: NDArray, copy: NDArray)]
  private var kept: (position: Int, step: UInt64, updates: UInt64)

  init(_ plan: RewindPlan, _ updater: Updater, _ model: Model) throws(TensorError) {
    self.plan = plan
    detector = plan.spikeThreshold.map { SpikeDetector(threshold: $0) }
    let sources =
      [model.arena.parameters, model.arena.states] + updater.pipeline.moments
      + updater.pipeline.clipStates.compactMap { $0 }
    let backend = model.device.backend
    pairs = try onDevice { () throws(DeviceError) in
      var pairs: [(source: NDArray, copy: NDArray)] = []
      for source in sources {
        pairs.append((source, try backend.allocate(source.shape, source.dtype)))
      }
      return pairs
    }
    kept = (0, 0, 0)
    try keep(updater, model, 0)
  }

  /// Looks at a step: goes back if it was bad, and keeps the state if it is time.
  mutating func review(
    _ report: StepReport, _ updater: Updater, _ model: Model, _ position: inout Int
  ) throws(TensorError) -> Answer {
    var isBad = detector?.score(report.norm) != nil
    if case .skipped = report.outcome { isBad = true }
    guard isBad else {
      if position >= kept.position + plan.interval { try keep(updater, model, position) }
      return .goOn
    }
    guard rewinds < plan.maximum else { return .stop }
    rewinds += 1
    let backend = model.device.backend
    try onDevice { () throws(DeviceError) in
      for (source, copy) in pairs { try backend.pointwise(.x, [copy], into: source) }
    }
    try updater.restore(step: kept.step, updates: kept.updates)
    switch plan.response {
    case .skipBatch: excluded.insert(position)
    case .shrinkLearningRate(let factor): updater.learningRate *= factor
    }
    position = kept.position
    return .goOn
  }

  private mutating func keep(
    _ updater: Updater, _ model: Model, _ position: Int
  ) throws(TensorError) {
    let backend = model.device.backend
    try onDevice { () throws(DeviceError) in
      for (source, copy) in pairs where source.count > 0 {
        try backend.pointwise(.x, [source], into: copy)
      }
    }
    kept = (position, updater.step, try updater.updates())
  }
}
