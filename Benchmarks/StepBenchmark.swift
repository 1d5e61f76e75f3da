internal import Keel
internal import KeelAutograd
package import KeelBackend
internal import KeelNN
internal import KeelStability

/// Times whole training steps: forward, backward and Adam, on a batch that is already on the
/// device; captured as training captures them, where the device can.
package struct StepBenchmark: Sendable {
  /// What is trained.
  package enum Network: String, Sendable {
    /// A perceptron that takes the device next to no time: what the host needs for a step.
    case mlp
    case digits
    /// The digits network with batch normalisation after its convolution.
    case digitsNorm = "digits_norm"
    case resnet18
    /// DenseNet-BC of 40 layers, growth 12.
    case densenet
    /// LSTM of 128 units over 28 steps of 28 inputs.
    case lstm128

    var input: Shape {
      switch self {
      case .mlp, .digits, .digitsNorm, .lstm128: [28, 28, 1]
      case .resnet18, .densenet: [32, 32, 3]
      }
    }

    var layers: Sequential {
      switch self {
      case .mlp: ModelRecipe.mlp(hidden: [32], classes: 10).network
      case .digits: ModelRecipe.digitsCNN(classes: 10).network
      case .digitsNorm:
        Sequential {
          Conv2D(32, kernel: 3, usesBias: false)
          BatchNorm(activation: .relu)
          MaxPool2D(2)
          Flatten()
          Dense(128, activation: .relu)
          Dense(10)
        }
      case .resnet18: ModelRecipe.resNet18(classes: 10).network
      case .densenet: ModelRecipe.denseNet(classes: 10).network
      case .lstm128: ModelRecipe.lstmClassifier(units: 128, classes: 10).network
      }
    }
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
  /// Whether activations and working weights are kept in bfloat16.
  package let isHalf: Bool
  /// Whether steps are captured as training captures them, where the device can.
  package let isCaptured: Bool

  /// Clipped, captured and in float32 unless it is said.
  package init(
    _ network: Network, batch: Int, defence: Defence = .clipped, isHalf: Bool = false,
    isCaptured: Bool = true
  ) {
    (self.network, self.batch, self.defence) = (network, batch, defence)
    (self.isHalf, self.isCaptured) = (isHalf, isCaptured)
  }

  /// Such as `step/digits_batch128`, `step/resnet18_batch64_bare` or
  /// `step/digits_batch512_bfloat16`.
  package var id: String {
    "step/\(network.rawValue)_batch\(batch)" + (defence == .bare ? "_bare" : "")
      + (isHalf ? "_bfloat16" : "") + (isCaptured ? "" : "_uncaptured")
  }

  /// The steps that are compared with other libraries, and what clipping and capture do to them.
  package static let all =
    [32, 128, 512].flatMap { batch in
      [Network.digits, .digitsNorm].map { StepBenchmark($0, batch: batch) }
    } + [
      StepBenchmark(.digits, batch: 32, isCaptured: false),
      StepBenchmark(.digits, batch: 128, defence: .bare),
      StepBenchmark(.mlp, batch: 32),
      StepBenchmark(.mlp, batch: 32, isCaptured: false),
      StepBenchmark(.lstm128, batch: 128),
      StepBenchmark(.densenet, batch: 32),
      StepBenchmark(.resnet18, batch: 64, defence: .bare),
      StepBenchmark(.resnet18, batch: 64),
      StepBenchmark(.digitsNorm, batch: 512, isHalf: true),
      StepBenchmark(.digits, batch: 512, isHalf: true),
      StepBenchmark(.resnet18, batch: 64, isHalf: true),
    ]

  package func measure(on device: Device, effort: Effort) throws(TensorError) -> BenchmarkResult {
    let step = try step(on: device)
    let stopwatch = Stopwatch(device: device, effort: effort)
    let streamed = try stopwatch.streamed(step)
    let waited = try stopwatch.single(step)
    let host =
      batch == 32 && network != .densenet ? try stopwatch.handedOver(step).median * 1e3 : nil
    device.resetPeakBytes()
    let launches = device.counters.launches
    try step()
    try onDevice { () throws(DeviceError) in try device.synchronize() }
    let counters = device.counters
    return BenchmarkResult(
      id: id, milliseconds: streamed.median * 1e3, waitedMilliseconds: waited.median * 1e3,
      spread: streamed.spread, examplesPerSecond: Double(batch) / streamed.median,
      launches: counters.launches - launches, hostMilliseconds: host,
      bytesMoved: try bytesMoved(on: device),
      peakBytes: counters.peakBytes)
  }

  /// A function that makes one step.
  package func step(on device: Device) throws(TensorError) -> () throws(TensorError) -> Void {
    let model = try Model(
      network.layers, input: network.input, device: device, seed: 1,
      precision: isHalf ? .bfloat16 : .float32)
    let update = try update(of: model)
    var random = RandomSequence(RandomKey(seed: 1, .user))
    let shape = Shape([batch] + network.input.extents)
    let images = try Tensor(
      (0..<shape.count).map { _ in random.nextUniform() }, shape: shape, on: device)
    let labels = try Tensor((0..<Int32(batch)).map { $0 % 10 }, shape: [batch], on: device)
    let loss = Loss.softmaxCrossEntropy()
    let captured = CapturedStep(model, refusal: isCaptured ? nil : "it is switched off")
    let signature = CapturedStep.Signature(inputs: images.shape, dtype: .float32)
    try model.seed(1)
    var number: UInt64 = 0
    return { () throws(TensorError) in
      let (value, isLasting) = try captured.gradient(signature, number: number) {
        () throws(TensorError) in
        let value = try model.valueAndGradient(pass: number) { (pass) throws(TensorError) in
          try loss(model(images, pass), labels)
        }
        return (value, nil)
      }
      try update(value.loss, isLasting ? captured : nil)
      number += 1
    }
  }

  /// The bytes of each operation's arrays in one step, once in and once out.
  private func bytesMoved(on device: Device) throws(TensorError) -> Int {
    let profiler = ProfilingBackend(device.backend)
    let step = try step(on: Device(profiler))
    try step()
    profiler.reset()
    try step()
    return profiler.table.reduce(0) { $0 + $1.bytes }
  }

  private func update(
    of model: Model
  ) throws(TensorError) -> (Tensor, CapturedStep?) throws(TensorError) -> Void {
    guard defence == .bare else {
      let updater = try Updater(.adam(), for: model, clipGlobalNorm: 1)
      return { (loss, captured) throws(TensorError) in
        try updater.update(loss: loss, wantsHistogram: false, captured: captured)
      }
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
    let launch = { () throws(TensorError) in
      try onDevice { () throws(DeviceError) in
        try backend.optimizerStep(
          rule, parameters: arena.parameters, gradients: arena.gradients, moments: moments,
          scales: arena.scales, decision: decision)
      }
    }
    return { (loss, captured) throws(TensorError) in
      guard let captured else { return try launch() }
      try captured.update(loss: loss, launch)
    }
  }
}
