internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Updates of an arena: every rule, several steps, clipping, frozen blocks, decay.
enum OptimizerStepCases {
  static let all = rules + scaled + large

  struct Plan: Sendable {
    var rule: OptimizerRule
    var learningRate: Float = 0.05
    var weightDecay: Float = 0
    var decouplesDecay = false
    var steps: [UInt64] = [1]
    var coefficient: Float = 1
    var applies: Float = 1
    /// Learning-rate scale and decay scale of the blocks in turn.
    var scales: [Float] = [1, 1]
    var tolerance = Tolerance.transcendental
    var parameters = CaseInput.Fill.uniform(-2, 2)
    var gradients = CaseInput.Fill.uniform(-2, 2)

    /// The decisions of the steps, each at a place where a view may start.
    var decisions: [Float] {
      steps.flatMap { step -> [Float] in
        var fields = [Float](repeating: 0, count: ArenaBlock.count)
        fields[DecisionField.coefficient.rawValue] = coefficient
        fields[DecisionField.applies.rawValue] = applies
        fields[DecisionField.learningRate.rawValue] = learningRate
        fields[DecisionField.updates.rawValue] = Float(step - 1)
        if case .adam(let beta1, let beta2, _) = rule {
          fields[DecisionField.correction1.rawValue] = OptimizerUpdate.biasCorrection(
            beta1, step: step)
          fields[DecisionField.correction2.rawValue] = OptimizerUpdate.biasCorrection(
            beta2, step: step)
        }
        return fields
      }
    }
  }

  private static let adam = OptimizerRule.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8)

  private static func sgd(
    _ momentum: Float = 0, dampening: Float = 0, nesterov: Bool = false
  ) -> OptimizerRule {
    .sgd(momentum: momentum, dampening: dampening, nesterov: nesterov)
  }

  private static let rules: [OperationCase] = [
    check("sgd", Plan(rule: sgd())),
    check("sgd_decay", Plan(rule: sgd(), weightDecay: 0.1)),
    check("sgd_decay_decoupled", Plan(rule: sgd(), weightDecay: 0.1, decouplesDecay: true)),
    check("momentum", Plan(rule: sgd(0.9), steps: [1, 2, 3])),
    check("momentum_dampening", Plan(rule: sgd(0.9, dampening: 0.5), steps: [1, 2])),
    check("nesterov", Plan(rule: sgd(0.9, nesterov: true), steps: [1, 2, 3])),
    check("nesterov_decay", Plan(rule: sgd(0.9, nesterov: true), weightDecay: 0.01, steps: [4])),
    check("adam", Plan(rule: adam)),
    check("adam_steps", Plan(rule: adam, steps: [1, 2, 3])),
    check("adam_step1000", Plan(rule: adam, steps: [1000])),
    check("adam_step_beyond_32_bits", Plan(rule: adam, steps: [1 << 33])),
    check("adam_decay", Plan(rule: adam, weightDecay: 0.1, steps: [2])),
    check("adamw", Plan(rule: adam, weightDecay: 0.1, decouplesDecay: true, steps: [1, 2])),
    check(
      "adam_epsilon", Plan(rule: .adam(beta1: 0.5, beta2: 0.9, epsilon: 0.1), steps: [2])),
    check("adam_one_block", Plan(rule: adam), blocks: 1),
    check("adam_blocks300", Plan(rule: adam), blocks: 300),
  ]

  private static let scaled: [OperationCase] = [
    check("sgd_clipped", Plan(rule: sgd(), coefficient: 0.25)),
    check("momentum_clipped", Plan(rule: sgd(0.9), steps: [2], coefficient: 0.125)),
    check("adam_clipped", Plan(rule: adam, steps: [3], coefficient: 0.01)),
    check("adam_unclipped", Plan(rule: adam, steps: [3], coefficient: 1)),
    check("sgd_coefficient_nan", Plan(rule: sgd(), coefficient: .nan)),
    check(
      "sgd_scales",
      Plan(rule: sgd(), weightDecay: 0.1, scales: [1, 1, 0.5, 0, 0, 1, 2, 0.5, 0, 0])),
    check(
      "adamw_scales",
      Plan(
        rule: adam, weightDecay: 0.1, decouplesDecay: true, steps: [2],
        scales: [1, 1, 0.5, 0, 0, 1, 2, 0.5, 0, 0])),
    // Frozen blocks keep every bit, whatever arrives.
    check(
      "sgd_frozen",
      Plan(
        rule: sgd(0.9), weightDecay: 0.1, scales: [0, 1], tolerance: .exact,
        gradients: .sprinkled([.nan, .infinity]))),
    check(
      "adamw_frozen",
      Plan(
        rule: adam, weightDecay: 0.1, decouplesDecay: true, coefficient: .nan, scales: [0, 1],
        tolerance: .exact, gradients: .sprinkled([.nan, .infinity]))),
    // So does a step that does not apply.
    check(
      "momentum_refused",
      Plan(
        rule: sgd(0.9), weightDecay: 0.1, applies: 0, tolerance: .exact,
        gradients: .sprinkled([.nan, .infinity]))),
    check("sgd_refused", Plan(rule: sgd(), applies: 0, tolerance: .exact)),
    check(
      "adamw_refused",
      Plan(
        rule: adam, weightDecay: 0.1, decouplesDecay: true, applies: 0, tolerance: .exact,
        gradients: .sprinkled([.nan]))),
    // Without decay nothing is multiplied by an infinite parameter.
    check(
      "sgd_infinite_parameters", Plan(rule: sgd(), parameters: .sprinkled([.infinity]))),
    check(
      "adam_every_second_frozen",
      Plan(rule: adam, scales: [0, 0, 1, 1], gradients: .sprinkled([.nan]))),
  ]

  private static func check(
    _ label: String, _ plan: Plan, blocks: Int = 6, isLarge: Bool = false
  ) -> OperationCase {
    check(
      label, plan, blocks: blocks, isLarge: isLarge,
      magnitudes: { update($0, plan, magnitude: true) },
      oracles: { update($0, plan, magnitude: false) })
  }

  /// A case whose outputs are the parameters and the state.
  static func check(
    _ label: String, _ plan: Plan, blocks: Int, isLarge: Bool,
    magnitudes: @escaping @Sendable ([[Double]]) -> [[Double]],
    oracles: @escaping @Sendable ([[Double]]) -> [[Double]]
  ) -> OperationCase {
    let count = blocks * ArenaBlock.count
    let moments = plan.rule.momentCount
    // The second moment is a mean of squares.
    let state = [CaseInput([count]), CaseInput([count], .uniform(0, 1))].prefix(moments)
    let update = OptimizerUpdate(
      rule: plan.rule, weightDecay: plan.weightDecay, decouplesDecay: plan.decouplesDecay)
    return OperationCase(
      .optimizerStep, label,
      inputs: [
        CaseInput([count], plan.parameters), CaseInput([count], plan.gradients),
        CaseInput([blocks, 2], .repeating(plan.scales)),
        CaseInput([plan.steps.count, ArenaBlock.count], .repeating(plan.decisions)),
      ] + state,
      tolerance: plan.tolerance, magnitude: .given(magnitudes),
      work: isLarge
        ? .init(flops: 12 * count, bytes: 4 * count * (3 + 2 * moments)) : nil,
      outputs: { (t) throws(TensorError) in
        let state = t.tensors[4...].map(\.value)
        for number in plan.steps.indices {
          try onDevice { () throws(DeviceError) in
            try t.backend.optimizerStep(
              update, parameters: t[0].value, gradients: t[1].value, moments: state,
              scales: t[2].value,
              decision: t[3].value.view(
                offset: number * ArenaBlock.count, shape: [DecisionField.count]))
          }
        }
        return [t[0]] + t.tensors[4...]
      },
      oracles: oracles)
  }

  /// The rules as they are written in the papers, element by element. With `magnitude`, every
  /// difference becomes a sum of absolute values.
  private static func update(_ t: [[Double]], _ plan: Plan, magnitude: Bool) -> [[Double]] {
    let t = magnitude ? t.map { $0.map(abs) } : t
    let sign: Double = magnitude ? 1 : -1
    var (p, state) = (t[0], Array(t[4...]))
    guard plan.applies != 0 else { return [p] + state }
    let coefficient = Double(plan.coefficient)
    for step in plan.steps {
      for i in p.indices {
        let block = i / ArenaBlock.count
        let scale = t[2][2 * block]
        guard scale != 0 else { continue }
        let decay = Double(plan.weightDecay) * t[2][2 * block + 1]
        let rate = Double(plan.learningRate) * scale
        var g = coefficient * t[1][i]
        if decay != 0 {
          if plan.decouplesDecay { p[i] += sign * rate * decay * p[i] } else { g += decay * p[i] }
        }
        p[i] += sign * rate * direction(plan.rule, g, step, &state, i)
      }
    }
    return [p] + state
  }

  private static func direction(
    _ rule: OptimizerRule, _ g: Double, _ step: UInt64, _ state: inout [[Double]], _ i: Int
  ) -> Double {
    switch rule {
    case .sgd(let momentum, let dampening, let nesterov):
      guard momentum != 0 else { return g }
      state[0][i] = Double(momentum) * state[0][i] + (1 - Double(dampening)) * g
      return nesterov ? g + Double(momentum) * state[0][i] : state[0][i]
    case .adam(let beta1, let beta2, let epsilon):
      let (b1, b2) = (Double(beta1), Double(beta2))
      state[0][i] = b1 * state[0][i] + (1 - b1) * g
      state[1][i] = b2 * state[1][i] + (1 - b2) * g * g
      let first = state[0][i] / (1 - pow(b1, Double(step)))
      let second = state[1][i] / (1 - pow(b2, Double(step)))
      return first / (second.squareRoot() + Double(epsilon))
    case .mirror: return .nan  // MirrorStepCases has its own.
    }
  }

  private static let large: [OperationCase] = [
    check(
      "adam_clipped_11700000", Plan(rule: adam, coefficient: 0.5), blocks: 91_408,
      isLarge: true),
    check(
      "adam_clipped_25100000", Plan(rule: adam, coefficient: 0.5), blocks: 196_094,
      isLarge: true),
    check("momentum_11700000", Plan(rule: sgd(0.9)), blocks: 91_408, isLarge: true),
  ]
}
