internal import CKeelLoops
package import KeelBackend

extension CPUBackend: OptimizerStepBackend {
  package func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    precondition(parameters.count % ArenaBlock.count == 0)
    precondition(moments.count == update.rule.momentCount)
    guard decision.number(.applies) != 0 else { return }
    let call = keel_update(update, decision)
    let (p, g, s) = (parameters.floats, gradients.floats, scales.floats)
    let states = moments.map(\.floats)
    withUnsafePointer(to: call) { call in
      inParts(
        of: partSize / ArenaBlock.count, parameters.count / ArenaBlock.count
      ) { begin, end in
        switch update.rule {
        case .sgd: keel_sgd(call, p, g, states.first, s, begin, end)
        case .adam: keel_adam(call, p, g, states[0], states[1], s, begin, end)
        case .mirror: keel_mirror(call, p, g, states.first, s, begin, end)
        }
      }
    }
  }
}

extension NDArray {
  /// A field of a decision.
  func number(_ field: DecisionField) -> Float { floats[field.rawValue] }
}

extension keel_update {
  fileprivate init(_ update: OptimizerUpdate, _ decision: NDArray) {
    self.init()
    learning_rate = decision.number(.learningRate)
    coefficient = decision.number(.coefficient)
    weight_decay = update.weightDecay
    decoupled = update.decouplesDecay
    switch update.rule {
    case .sgd(let momentum, let dampening, let nesterov):
      self.momentum = momentum
      one_minus_dampening = 1 - dampening
      self.nesterov = nesterov
    case .adam(let beta1, let beta2, let epsilon):
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      correction1 = decision.number(.correction1)
      correction2 = decision.number(.correction2)
    case .mirror(let map, _, let stepLimit):
      limit = stepLimit
      looks_ahead = decision.number(.updates) != 0
      setMap(map)
    }
  }

  private mutating func setMap(_ map: MirrorMap) {
    switch map {
    case .euclidean: self.map = Int32(KEEL_EUCLIDEAN.rawValue)
    case .power(let q):
      self.map = Int32(KEEL_POWER_MAP.rawValue)
      power = q - 1
      inverse_power = 1 / (q - 1)
    case .entropy: self.map = Int32(KEEL_ENTROPY.rawValue)
    case .hypentropy(let beta):
      self.map = Int32(KEEL_HYPENTROPY.rawValue)
      self.beta = beta
    }
  }
}
