package import KeelBackend

extension OpenCLBackend: OptimizerStepBackend {
  package func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, decision: NDArray
  ) throws(DeviceError) {
    precondition(moments.count == update.rule.momentCount)
    let width = isCPUClass ? 16 : 4
    let plan = TeamPlan.elements(
      parameters.count, width: width, cpuRun: 512, gpuRun: 1, self)
    let options = plan.options + ["ARENA_BLOCK=\(ArenaBlock.count)"]
    let (vectors, run) = (UInt32(parameters.count / width), UInt32(plan.run))
    let decoupled: UInt32 = update.decouplesDecay ? 1 : 0
    switch update.rule {
    case .sgd(let momentum, let dampening, let nesterov):
      guard let velocity = moments.first else {
        return try launch(
          "optimizer_step_sgd", from: .optimizerStep, options: options, grid: plan.grid,
          parameters, gradients, scales, decision, vectors, run, update.weightDecay, decoupled)
      }
      try launch(
        "optimizer_step_momentum", from: .optimizerStep, options: options, grid: plan.grid,
        parameters, gradients, velocity, scales, decision, vectors, run, update.weightDecay,
        decoupled, momentum, 1 - dampening, UInt32(nesterov ? 1 : 0))
    case .adam(let beta1, let beta2, let epsilon):
      try launch(
        "optimizer_step_adam", from: .optimizerStep, options: options, grid: plan.grid,
        parameters, gradients, moments[0], moments[1], scales, decision, vectors, run,
        update.weightDecay, decoupled, SIMD4<Float>(beta1, 1 - beta1, beta2, 1 - beta2), epsilon)
    case .mirror(let map, _, let stepLimit):
      var numbers = map.numbers
      numbers.w = stepLimit
      try launch(
        "optimizer_step_mirror", source: .named("optimizer_step_mirror"), options: options,
        grid: plan.grid, parameters, gradients, moments.first, scales, decision, vectors, run,
        update.weightDecay, decoupled, map.code, numbers)
    }
  }
}

extension MirrorMap {
  /// The number of the map in the kernel.
  fileprivate var code: UInt32 {
    switch self {
    case .euclidean: 0
    case .power: 1
    case .entropy: 2
    case .hypentropy: 3
    }
  }

  /// q - 1, 1 / (q - 1), beta, and a place for the limit.
  fileprivate var numbers: SIMD4<Float> {
    switch self {
    case .euclidean, .entropy: SIMD4(1, 1, 1, 0)
    case .power(let q): SIMD4(q - 1, 1 / (q - 1), 1, 0)
    case .hypentropy(let beta): SIMD4(1, 1, beta, 0)
    }
  }
}
