internal import Keel
internal import KeelAutograd
package import KeelBackend
internal import KeelNN
internal import KeelStability

/// Times whole training steps: forward, backward and Adam, on a batch that is already on the
/// device.
package struct StepBenchmark: Sendable {
  /// What is trained.
  package enum Network: String, Sendable {
    case digits
    case resnet18
  }

  /// What stands between the gradients and Adam.
  package enum Defence: String, Sendable {
    /// Nothing: the optimizer's launch alone. What the others are compared with.
    case bare
    /// The scan for values that are not finite, and clipping of the global norm.
    case clipped
  }

  package let network: Network
  /// Examples per step.
  package let batch: Int
  package let defence: Defence

  /// Such as `step/digits_batch128` or `step/resnet18_batch64_bare`.
  package var id: String {
    "step/\(network.rawValue)_batch\(batch)" + (defence == .bare ? "_bare" : "")
  }

  /// The batch sizes that are compared with other libraries, and what clipping costs.
  package static let all =
    [32, 128, 512].map { StepBenchmark(network: .digits, batch: $0, defence: .clipped) }
    + [
      StepBenchmark(network: .digits, batch: 128, defence: .bare),
      StepBenchmark(network: .resnet18, batch: 64, defence: .bare),
      StepBenchmark(network: .resnet18, batch: 64, defence: .clipped),
    ]

  package func measure(on device: Device, effort: Effort) throws(TensorError) -> BenchmarkResult {
    let input: Shape = network == .digits ? [28, 28, 1] : [32, 32, 3]
    let recipe: ModelRecipe = network == .digits ? .digitsCNN(classes: 10) : .resNet18(classes: 10)
    let model = try Model(recipe, input: input, device: device, seed: 1)
    let update = try update(of: model)
    let images = try Tensor.random(
      .uniform(low: 0, high: 1), shape: Shape([batch] + input.extents),
      key: RandomKey(seed: 1, .user), on: device)
    let labels = try Tensor((0..<Int32(batch)).map { $0 % 10 }, shape: [batch], on: device)
    let loss = Loss.softmaxCrossEntropy()
    let step: () throws(TensorError) -> Void = { () throws(TensorError) in
      let value = try model.valueAndGradient { (pass) throws(TensorError) in
        try loss(model(images, pass), labels)
      }
      try update(value)
    }
    let stopwatch = Stopwatch(device: device, effort: effort)
    let streamed = try stopwatch.streamed(step)
    let waited = try stopwatch.single(step)
    return BenchmarkResult(
      id: id, milliseconds: streamed.median * 1e3, waitedMilliseconds: waited.median * 1e3,
      spread: streamed.spread, gigaflops: nil, gigabytesPerSecond: nil, percentOfLimit: nil,
      examplesPerSecond: Double(batch) / streamed.median)
  }

  private func update(
    of model: Model
  ) throws(TensorError) -> (Tensor) throws(TensorError) -> Void {
    guard defence == .bare else {
      let updater = try Updater(.adam(), for: model, clipGlobalNorm: 1)
      return { (loss) throws(TensorError) in try updater.update(loss: loss) }
    }
    let (arena, backend) = (model.arena, model.device.backend)
    let moments = try arena.makeMoments(2)
    var fields = [Float](repeating: 0, count: DecisionField.count)
    for (field, value) in [
      (DecisionField.coefficient, 1), (.applies, 1), (.learningRate, 1e-3), (.correction1, 1),
      (.correction2, 1),
    ] as [(DecisionField, Float)] { fields[field.rawValue] = value }
    let decision = try onDevice { () throws(DeviceError) in
      try backend.array(fields, shape: [DecisionField.count])
    }
    let rule = OptimizerUpdate(
      rule: Optimizer.adam().rule, weightDecay: 0, decouplesDecay: false)
    return { (_) throws(TensorError) in
      try onDevice { () throws(DeviceError) in
        try backend.optimizerStep(
          rule, parameters: arena.parameters, gradients: arena.gradients, moments: moments,
          scales: arena.scales, decision: decision)
      }
    }
  }
}
