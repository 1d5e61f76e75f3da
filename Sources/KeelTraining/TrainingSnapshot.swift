import KeelBackend
import KeelData
import KeelNN
import KeelStability

/// A copy of all that a step changes, kept on the device: the state that a training can go back to.
final class TrainingSnapshot {
  private let backend: any Backend
  /// What is copied, and where to.
  private let pairs: [(source: NDArray, copy: NDArray)]
  private(set) var position = BatchPosition(epoch: 0)
  private(set) var step: UInt64 = 0
  private var updates: UInt64 = 0

  init(_ trainer: Trainer) throws(TrainingError) {
    let backend = trainer.model.device.backend
    self.backend = backend
    let (arena, pipeline) = (trainer.model.arena, trainer.updater.pipeline)
    let sources =
      [arena.parameters, arena.states] + pipeline.moments
      + pipeline.clipStates.compactMap { $0 }
    pairs = try trainingDevice { () throws(DeviceError) in
      var pairs: [(source: NDArray, copy: NDArray)] = []
      for source in sources {
        pairs.append((source, try backend.allocate(source.shape, source.dtype)))
      }
      return pairs
    }
  }

  /// Copies the training as it is.
  func take(_ trainer: Trainer) throws(TrainingError) {
    try trainingDevice { () throws(DeviceError) in
      for (source, copy) in pairs { try backend.pointwise(.x, [source], into: copy) }
    }
    position = trainer.position
    step = trainer.updater.step
    updates = try training { () throws(TensorError) in try trainer.updater.updates() }
  }

  /// Brings the training back to where the copy was taken.
  func restore(_ trainer: Trainer) throws(TrainingError) {
    try trainingDevice { () throws(DeviceError) in
      for (source, copy) in pairs { try backend.pointwise(.x, [copy], into: source) }
    }
    trainer.position = position
    try training { () throws(TensorError) in
      try trainer.updater.restore(step: step, updates: updates)
    }
  }
}
