internal import Keel
internal import KeelAutograd
package import KeelBackend

/// Times whole training steps of the digits network: forward, backward, global-norm clipping and
/// Adam, on a batch that is already on the device.
package struct StepBenchmark: Sendable {
  /// Examples per step.
  package let batch: Int

  /// Such as `step/digits_batch128`.
  package var id: String { "step/digits_batch\(batch)" }

  /// The batch sizes that are compared with other libraries.
  package static let all = [32, 128, 512].map { StepBenchmark(batch: $0) }

  package func measure(on device: Device, effort: Effort) throws(TensorError) -> BenchmarkResult {
    let model = try Model(.digitsCNN(classes: 10), input: [28, 28, 1], device: device, seed: 1)
    let updater = try Updater(.adam(), for: model, clipGlobalNorm: 1)
    let images = try Tensor.random(
      .uniform(low: 0, high: 1), shape: [batch, 28, 28, 1], key: RandomKey(seed: 1, .user),
      on: device)
    let labels = try Tensor((0..<Int32(batch)).map { $0 % 10 }, shape: [batch], on: device)
    let loss = Loss.softmaxCrossEntropy()
    let step: () throws(TensorError) -> Void = { () throws(TensorError) in
      _ = try model.valueAndGradient { (pass) throws(TensorError) in
        try loss(model(images, pass), labels)
      }
      try updater.update()
    }
    let stopwatch = Stopwatch(device: device, effort: effort)
    let streamed = try stopwatch.streamed(step)
    let waited = try stopwatch.single(step)
    return BenchmarkResult(
      id: id, milliseconds: streamed.median * 1e3, waitedMilliseconds: waited.median * 1e3,
      spread: streamed.spread, gigaflops: nil, gigabytesPerSecond: nil, percentOfLimit: nil,
      examplesPerSecond: Double(batch) / streamed.median)
  }
}
