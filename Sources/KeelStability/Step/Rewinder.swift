package import KeelBackend
import KeelNN

/// The policy ``FaultPolicy/rewind`` at work: finds bad steps, keeps a copy of all that a step
/// changes on the device, and brings it back. Which batches are left out, and how often a training
/// may go back, is for those who count batches.
package final class Rewinder {
  /// What it does.
  package let plan: RewindPlan
  /// The step at which the copy was made.
  package private(set) var step: UInt64 = 0
  private let updater: Updater
  private let backend: any Backend
  /// What is copied, and where to.
  private let pairs: [(source: NDArray, copy: NDArray)]
  private var detector: SpikeDetector?
  /// As it was when the copy was made: steps that are taken again are told again.
  private var keptDetector: SpikeDetector?
  private var updates: UInt64 = 0
  private var skips = SkipCounts()
  private var techniques: TechniqueState

  /// Keeps nothing yet.
  package init(_ updater: Updater) throws(TensorError) {
    self.updater = updater
    plan = updater.stability.rewind
    techniques = updater.techniques.state
    detector = plan.spikeThreshold.map { SpikeDetector(threshold: $0) }
    let (pipeline, arena) = (updater.pipeline, updater.pipeline.model.arena)
    let backend = pipeline.model.device.backend
    let sources =
      [arena.parameters, arena.states] + pipeline.moments + updater.carriedArrays.map(\.array)
    self.backend = backend
    pairs = try onDevice { () throws(DeviceError) in
      var pairs: [(source: NDArray, copy: NDArray)] = []
      for source in sources where source.count > 0 {
        pairs.append((source, try backend.allocate(source.shape, source.dtype)))
      }
      return pairs
    }
  }

  /// Lets the detector know the norms of the good steps before, oldest first, and nothing else: a
  /// resumed training then finds the same spikes.
  package func restart(after norms: some BidirectionalCollection<Float>) {
    detector = plan.spikeThreshold.map { SpikeDetector(threshold: $0, past: norms) }
  }

  /// Whether the copy is so old that a good state should take its place.
  package var isDue: Bool { updater.step >= step + UInt64(plan.interval) }

  /// What went wrong in a step, if something did. Steps are to be told in their order.
  package func fault(_ outcome: StepOutcome, norm: Float) -> SkipReason? {
    if case .skipped(let reason) = outcome { return reason }
    return detector?.score(norm).map { .spike(score: $0) }
  }

  /// Copies the state as it is.
  package func keep() throws(TensorError) {
    try onDevice { () throws(DeviceError) in
      for (source, copy) in pairs { try backend.pointwise(.x, [source], into: copy) }
    }
    (step, updates, skips) = (updater.step, try updater.updates(), try updater.skipCounts())
    (techniques, keptDetector) = (updater.techniques.state, detector)
  }

  /// Brings the state back to that of the copy, and shrinks the learning rate if that is planned.
  package func goBack() throws(TensorError) {
    try onDevice { () throws(DeviceError) in
      for (source, copy) in pairs { try backend.pointwise(.x, [copy], into: source) }
    }
    try updater.restore(step: step, updates: updates, skips: skips)
    (updater.techniques.state, detector) = (techniques, keptDetector)
    if case .shrinkLearningRate(let factor) = plan.response { updater.learningRate *= factor }
  }
}
