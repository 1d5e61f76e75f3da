package import KeelBackend

extension OpenCLBackend: OptimizerStepBackend {
  package func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, summary: NDArray?
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
          parameters, gradients, scales, summary, vectors, run, update.learningRate,
          update.weightDecay, decoupled)
      }
      try launch(
        "optimizer_step_momentum", from: .optimizerStep, options: options, grid: plan.grid,
        parameters, gradients, velocity, scales, summary, vectors, run, update.learningRate,
        update.weightDecay, decoupled, momentum, 1 - dampening, UInt32(nesterov ? 1 : 0))
    case .adam(let beta1, let beta2, let epsilon):
      try launch(
        "optimizer_step_adam", from: .optimizerStep, options: options, grid: plan.grid,
        parameters, gradients, moments[0], moments[1], scales, summary, vectors, run,
        update.learningRate, update.weightDecay, decoupled,
        SIMD4<Float>(beta1, 1 - beta1, beta2, 1 - beta2),
        SIMD2<Float>(update.biasCorrection(beta1), update.biasCorrection(beta2)), epsilon)
    }
  }
}
