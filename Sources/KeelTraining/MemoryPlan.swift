import KeelAutograd
import KeelBackend
public import KeelData
import KeelNN
import KeelStability

/// The memory that a training step takes on its device, in bytes by what it holds.
public struct MemoryPlan: Sendable, Hashable {
  /// Weights, and their 16-bit copy where the model has one.
  public var parameters: Int
  /// Their gradients.
  public var gradients: Int
  /// The optimizer's moments and its table of scales.
  public var optimizer: Int
  /// Running statistics of the layers.
  public var statistics: Int
  /// Inputs and labels of a batch.
  public var batch: Int
  /// What the backward pass needs of the forward pass, gradients on their way, and what the
  /// device's kernels set aside, at the moment when they take the most.
  public var activations: Int
  /// Everything else that stays: tables of the step and of techniques, the log of steps.
  public var other: Int

  /// The most bytes that are in use at a time.
  public var peak: Int {
    parameters + gradients + optimizer + statistics + batch + activations + other
  }
}

extension Trainer {
  /// Measures the memory of a step before the first one: the gradient of one batch is computed, and
  /// nothing of it kept. Weights and statistics stay as they are.
  ///
  /// - Parameter batchSize: examples that travel through the network together.
  /// - Throws: ``TrainingError/tensor(_:)`` with the bytes that were asked for where the device has
  ///   less memory than the step needs.
  public func memoryPlan(_ data: Dataset, batchSize: Int) throws(TrainingError) -> MemoryPlan {
    try requirePositive("batch size", batchSize)
    let loader = try trainingData { () throws(DataError) in
      try BatchLoader(data, batchSize: batchSize, shuffleSeed: 0)
    }
    let first = loader.batch(at: BatchPosition(epoch: 0))
    let (arena, device) = (model.arena, model.device)
    let weights = arena.parameters.byteCount + (arena.halves?.byteCount ?? 0)
    let moments = updater.moments.reduce(0) { $0 + $1.byteCount }
    return try training { () throws(TensorError) in
      let statistics: [Float] = try onDevice { () throws(DeviceError) in
        try device.backend.scalars(arena.states, as: Float.self)
      }
      let before = device.counters.liveBytes
      device.resetPeakBytes()
      let batch = 4 * (first.shape.count + first.count)
      _ = try BatchGradient(self, pairs: nil).compute(
        first, pass: 0, weight: 1, accumulates: false)
      try onDevice { () throws(DeviceError) in
        try device.backend.upload(statistics, to: arena.states)
        try device.synchronize()
      }
      let known =
        weights + arena.gradients.byteCount + moments
        + arena.scales.byteCount + arena.states.byteCount
      let peak = device.counters.peakBytes
      return MemoryPlan(
        parameters: weights, gradients: arena.gradients.byteCount,
        optimizer: moments + arena.scales.byteCount, statistics: arena.states.byteCount,
        batch: batch, activations: max(0, peak - before - batch),
        other: max(0, before - known) + StepLog.byteCount(parameters: model.parameters.count))
    }
  }
}
