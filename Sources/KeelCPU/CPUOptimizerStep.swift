internal import CKeelLoops
package import KeelBackend

extension CPUBackend: OptimizerStepBackend {
  package func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, summary: NDArray?
  ) throws(DeviceError) {
    countLaunch()
    precondition(parameters.count % ArenaBlock.count == 0)
    precondition(moments.count == update.rule.momentCount)
    let call = keel_update(update, coefficient: summary.map { $0.floats[1] } ?? 1)
    let (p, g, s) = (parameters.floats, gradients.floats, scales.floats)
    let states = moments.map(\.floats)
    withUnsafePointer(to: call) { call in
      inParts(
        of: partSize / ArenaBlock.count, parameters.count / ArenaBlock.count
      ) { begin, end in
        switch update.rule {
        case .sgd: keel_sgd(call, p, g, states.first, s, begin, end)
        case .adam: keel_adam(call, p, g, states[0], states[1], s, begin, end)
        }
      }
    }
  }
}

extension keel_update {
  fileprivate init(_ update: OptimizerUpdate, coefficient: Float) {
    self.init()
    learning_rate = update.learningRate
    weight_decay = update.weightDecay
    decoupled = update.decouplesDecay
    self.coefficient = coefficient
    switch update.rule {
    case .sgd(let momentum, let dampening, let nesterov):
      self.momentum = momentum
      one_minus_dampening = 1 - dampening
      self.nesterov = nesterov
    case .adam(let beta1, let beta2, let epsilon):
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      correction1 = update.biasCorrection(beta1)
      correction2 = update.biasCorrection(beta2)
    }
  }
}
