package import KeelAutograd
package import KeelBackend
import KeelData
package import KeelNN
import KeelStability

/// Computes the gradient of batches, as a step wants it.
final class BatchGradient {
  private let model: Model
  private let loss: Loss
  private let metric: Metric?
  private let lossScale: Float
  private let perExample: PerExampleClip?
  private let pairs: PairSource?

  init(_ trainer: Trainer, pairs: PairSource?) throws(TensorError) {
    self.pairs = pairs
    model = trainer.model
    loss = trainer.loss
    metric = trainer.metrics.first
    lossScale = trainer.updater.stability.lossScale
    perExample = try trainer.updater.stability.clip.perExampleLimit.map {
      (limit) throws(TensorError) in try PerExampleClip(limit, model: trainer.model)
    }
  }

  /// Brings the gradient of a batch to the model's arena.
  ///
  /// - Parameters:
  ///   - pass: selects fresh dropout masks.
  ///   - weight: the batch's share of the step.
  ///   - accumulates: whether it is added to the gradient of the batches before.
  func compute(
    _ batch: Batch, pass: UInt64, weight: Float, accumulates: Bool
  ) throws(TensorError) -> (loss: Tensor, right: Tensor?) {
    let (images, labels) = try upload(batch, to: model.device)
    return try compute(
      images, labels, mix: batch.mix, pass: pass, weight: weight, accumulates: accumulates)
  }

  /// The same, repeated from a record where there is one.
  ///
  /// - Returns: whether the loss, besides, is written anew in later steps.
  func compute(
    _ batch: Batch, pass: UInt64, weight: Float, accumulates: Bool,
    captured: CapturedStep, inputs: BatchInputs
  ) throws(TensorError) -> (value: CapturedStep.Value, isLasting: Bool) {
    // Mixed examples have another weight in each batch.
    guard batch.mix.map({ $0.weight >= 1 }) ?? true, captured.isAtWork else {
      let value = try compute(batch, pass: pass, weight: weight, accumulates: accumulates)
      return (value, false)
    }
    let (features, labels) = try inputs.place(batch)
    let signature = CapturedStep.Signature(
      inputs: batch.shape, dtype: features.dtype, weight: weight, accumulates: accumulates)
    let number = perExample == nil ? pass : pass &* UInt64(batch.count)
    try model.seed(perExample == nil ? weight * lossScale : 1)
    return try captured.gradient(signature, number: number) { () throws(TensorError) in
      try compute(
        numbers(of: features), labels, mix: nil, pass: pass, weight: weight,
        accumulates: accumulates)
    }
  }

  /// Why no step of the training can be repeated, if something says so.
  var refusal: String? {
    pairs == nil ? nil : "the pair term draws other examples in every step"
  }

  private func compute(
    _ images: Tensor, _ labels: Tensor, mix: Mix?, pass: UInt64, weight: Float,
    accumulates: Bool
  ) throws(TensorError) -> (loss: Tensor, right: Tensor?) {
    if let perExample {
      let count = UInt64(labels.shape[0])
      return try perExample.compute(
        images, labels, weight: weight * lossScale, accumulates: accumulates
      ) { (image, label, number) throws(TensorError) in
        try gradient(
          image, label, mix: mix?.of(number), pass: pass &* count &+ UInt64(number), weight: 1,
          accumulates: false)
      }
    }
    return try gradient(
      images, labels, mix: mix, pass: pass, weight: weight * lossScale,
      accumulates: accumulates)
  }

  /// Runs the batch again and says which operation made the first value that is not finite.
  func firstCause(_ batch: Batch, pass: UInt64) throws(TensorError) -> FirstCause? {
    let (images, labels) = try upload(batch, to: model.device)
    return try model.locateFirstCause(pass: pass, seed: lossScale) {
      (pass) throws(TensorError) in
      try total(loss(model(images, pass), labels, mixedBy: batch.mix).value, pass)
    }
  }

  /// The batch's loss with what is added to it.
  private func total(_ loss: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    guard let pairs else { return loss }
    return try loss + pairs.loss(step: pass.step, model, pass)
  }

  private func gradient(
    _ images: Tensor, _ labels: Tensor, mix: Mix?, pass: UInt64, weight: Float,
    accumulates: Bool
  ) throws(TensorError) -> (loss: Tensor, right: Tensor?) {
    var right: Tensor?
    let value = try model.valueAndGradient(
      step: pass, weight: weight, accumulates: accumulates
    ) { (pass) throws(TensorError) in
      let output = try model(images, pass)
      let found = try loss(output, labels, mixedBy: mix, counting: metric)
      right = found.right
      return try total(found.value, pass)
    }
    return (value, right)
  }
}

/// Clips the gradient of each example before they are averaged (Abadi et al., 2016): examples go
/// through the network one by one, into an accumulator as large as the parameters.
package final class PerExampleClip {
  private let limit: Float
  private let model: Model
  private let accumulator: NDArray
  private let table: TelescopeTable
  private let reading: TelescopeReading

  package init(_ limit: Float, model: Model) throws(TensorError) {
    self.limit = limit
    self.model = model
    let (arena, backend) = (model.arena, model.device.backend)
    (accumulator, table, reading) = try onDevice { () throws(DeviceError) in
      (
        try backend.allocate(arena.gradients.shape, .float32),
        try TelescopeTable([(offset: 0, count: arena.count)], on: backend),
        try TelescopeReading(tensors: 1, on: backend)
      )
    }
  }

  /// gradient = weight / count * sum of g_j * min(1, limit / ‖g_j‖) over the examples, added to
  /// what there is if `accumulates`. A gradient that is not finite stays so.
  package func compute(
    _ images: Tensor, _ labels: Tensor, weight: Float, accumulates: Bool,
    _ example: (Tensor, Tensor, Int) throws(TensorError) -> (loss: Tensor, right: Tensor?)
  ) throws(TensorError) -> (loss: Tensor, right: Tensor?) {
    let (arena, backend, count) = (model.arena, model.device.backend, labels.shape[0])
    if accumulates {
      try onDevice { () throws(DeviceError) in
        try backend.pointwise(.x, [arena.gradients], into: accumulator)
      }
    } else {
      try onDevice { () throws(DeviceError) in try backend.fill(accumulator, with: 0) }
    }
    var (loss, right): (Tensor?, Tensor?)
    for number in 0..<count {
      let row = number..<(number + 1)
      let one = try example(
        images.sliced([row] + images.shape.extents.dropFirst().map { 0..<$0 }),
        labels.sliced([row] + labels.shape.extents.dropFirst().map { 0..<$0 }), number)
      loss = try loss.map { (sum) throws(TensorError) in try sum + one.loss } ?? one.loss
      if let more = one.right {
        right = try right.map { (sum) throws(TensorError) in try sum + more } ?? more
      }
      let limit = Expression.constant(limit)
      let factor = (.z > limit).select(limit / .z, 1) * .constant(weight / Float(count))
      try onDevice { () throws(DeviceError) in
        try backend.gradientTelescope(
          arena.gradients, table, wantsHistogram: false, into: reading)
        let norm = reading.summary.view(offset: 0, shape: [1])
        try backend.pointwise(
          .x + factor * .y, [accumulator, arena.gradients, norm], into: accumulator)
      }
    }
    try onDevice { () throws(DeviceError) in
      try backend.pointwise(.x, [accumulator], into: arena.gradients)
    }
    guard let loss else { preconditionFailure("a batch without examples") }
    return (try loss / Float(count), right)
  }
}
