internal import Glibc
internal import KeelBackend

/// Mirror descent: every map, both forms, the limit, decay, frozen blocks.
enum MirrorStepCases {
  typealias Plan = OptimizerStepCases.Plan

  static let all: [OperationCase] = [
    check("mirror_euclidean", mirror(.euclidean)),
    check("mirror_power1.1", mirror(.power(q: 1.1)), rate: 0.1),
    check("mirror_power1.5", mirror(.power(q: 1.5))),
    check("mirror_power2", mirror(.power(q: 2))),
    check("mirror_power3", mirror(.power(q: 3))),
    check("mirror_power10", mirror(.power(q: 10))),
    // An image of 0: the step alone decides.
    check("mirror_power10_from_zero", mirror(.power(q: 10)), parameters: .repeating([0])),
    check("mirror_entropy", mirror(.entropy), parameters: .uniform(0.01, 2)),
    check("mirror_hypentropy", mirror(.hypentropy(beta: 1))),
    check("mirror_hypentropy_small_beta", mirror(.hypentropy(beta: 1e-6))),
    check("mirror_hypentropy_large_beta", mirror(.hypentropy(beta: 1e4)), rate: 1e-5),
    check(
      "mirror_hypentropy_huge", mirror(.hypentropy(beta: 1e22)),
      parameters: .repeating([1e30, -1e25, 1e22, -3]), rate: 0.5),
    check("mirror_limit", mirror(.hypentropy(beta: 1), limit: 0.01), rate: 1),
    check("mirror_limit_entropy", mirror(.entropy, limit: 1.386_294_4), rate: 100),
    check("mirror_optimistic", mirror(.euclidean, optimistic: true), steps: [1, 2, 3]),
    check("mirror_optimistic_late", mirror(.euclidean, optimistic: true), steps: [7]),
    check(
      "mirror_optimistic_hypentropy", mirror(.hypentropy(beta: 1), optimistic: true), steps: [2]),
    check("mirror_decay", mirror(.power(q: 3)), decay: 0.1),
    check("mirror_decay_decoupled", mirror(.power(q: 3)), decay: 0.1, decouples: true),
    check("mirror_clipped", mirror(.entropy), coefficient: 0.25),
    check("mirror_blocks300", mirror(.entropy), blocks: 300),
    // Bits stay: a rate of 0, frozen blocks, a step that does not apply.
    check("mirror_power1.1_rate0", mirror(.power(q: 1.1)), rate: 0, tolerance: .exact),
    check("mirror_power10_rate0", mirror(.power(q: 10)), rate: 0, tolerance: .exact),
    check("mirror_hypentropy_rate0", mirror(.hypentropy(beta: 3)), rate: 0, tolerance: .exact),
    check("mirror_entropy_rate0", mirror(.entropy), rate: 0, tolerance: .exact),
    check(
      "mirror_frozen", mirror(.entropy, optimistic: true), gradients: .sprinkled([.nan]),
      scales: [0, 1], tolerance: .exact),
    check(
      "mirror_refused", mirror(.power(q: 3), optimistic: true), gradients: .sprinkled([.nan]),
      applies: 0, tolerance: .exact),
    check(
      "mirror_scales", mirror(.hypentropy(beta: 1)), scales: [1, 1, 0.5, 0, 0, 1, 2, 0.5, 0, 0]),
    check("mirror_power_nan", mirror(.power(q: 3)), gradients: .sprinkled([.nan])),
    check("mirror_hypentropy_nan", mirror(.hypentropy(beta: 1)), gradients: .sprinkled([.nan])),
    check("mirror_limit_nan", mirror(.entropy, limit: 1), gradients: .sprinkled([.nan])),
    check(
      "mirror_hypentropy_11700000", mirror(.hypentropy(beta: 1)), blocks: 91_408, isLarge: true),
  ]

  private static func mirror(
    _ map: MirrorMap, optimistic: Bool = false, limit: Float = .infinity
  ) -> OptimizerRule {
    .mirror(map, optimistic: optimistic, stepLimit: limit)
  }

  private static func check(
    _ label: String, _ rule: OptimizerRule, parameters: CaseInput.Fill = .uniform(-2, 2),
    gradients: CaseInput.Fill = .uniform(-2, 2), rate: Float = 0.05, decay: Float = 0,
    decouples: Bool = false, steps: [UInt64] = [1], coefficient: Float = 1, applies: Float = 1,
    scales: [Float] = [1, 1], tolerance: Tolerance = .transcendental, blocks: Int = 6,
    isLarge: Bool = false
  ) -> OperationCase {
    let plan = Plan(
      rule: rule, learningRate: rate, weightDecay: decay, decouplesDecay: decouples, steps: steps,
      coefficient: coefficient, applies: applies, scales: scales, tolerance: tolerance,
      parameters: parameters, gradients: gradients)
    return OptimizerStepCases.check(
      label, plan, blocks: blocks, isLarge: isLarge,
      magnitudes: { update($0, plan).magnitudes }, oracles: { update($0, plan).values })
  }

  /// The rule element by element, and what an error of each result is measured against.
  private static func update(
    _ t: [[Double]], _ plan: Plan
  ) -> (values: [[Double]], magnitudes: [[Double]]) {
    guard plan.applies != 0, case .mirror(let map, let optimistic, let limit) = plan.rule else {
      return ([t[0]] + t[4...], [t[0]] + t[4...])
    }
    var (p, sizes, before) = (t[0], t[0].map(abs), t.count > 4 ? t[4] : [])
    for step in plan.steps {
      for i in p.indices {
        let block = i / ArenaBlock.count
        let scale = t[2][2 * block]
        guard scale != 0 else { continue }
        let decay = Double(plan.weightDecay) * t[2][2 * block + 1]
        let rate = Double(plan.learningRate) * scale
        var g = Double(plan.coefficient) * t[1][i]
        if plan.decouplesDecay { p[i] -= rate * decay * p[i] } else { g += decay * p[i] }
        let direction = optimistic && step > 1 ? 2 * g - before[i] : g
        if optimistic { before[i] = g }
        let a = rate * direction
        let held = abs(a) > Double(limit) ? (a < 0 ? -1 : 1) * Double(limit) : a
        let size = sizes[i]
        (p[i], sizes[i]) = moved(map, p[i], held)
        // Errors of earlier steps are carried along.
        sizes[i] += size * abs(p[i] / (size == 0 ? 1 : size)) + (map == .euclidean ? size : 0)
      }
    }
    let states = t.count > 4 ? [before] : []
    return ([p] + states, [sizes] + states.map { $0.map(abs) })
  }

  /// The parameter after a step of `a` in the image, and the size of the terms that make it.
  private static func moved(_ map: MirrorMap, _ p: Double, _ a: Double) -> (Double, Double) {
    switch map {
    case .euclidean: return (p - a, abs(p) + abs(a))
    case .power(let q):
      let power = Double(q) - 1
      let image = pow(abs(p), power)
      let z = (p < 0 ? -image : image) - a
      let result = (z < 0 ? -1 : 1) * pow(abs(z), 1 / power)
      guard result != 0, a != 0 else { return (a == 0 ? p : result, abs(p)) }
      // A relative error e of the power is e * min(image, |a|) / |z| in z, and 1 / power times that
      // in the result; that of the exponent counts by the logarithm.
      let lost =
        min(image, abs(a)) / abs(z) / power + log(abs(result) / max(abs(p), 1e-30)).magnitude
      return (result, abs(result) * (1 + lost + 1 / power))
    case .entropy:
      return (p * exp(-a), abs(p) * exp(-a) * (1 + abs(a)))
    case .hypentropy(let beta):
      let b = Double(beta)
      let result = b * sinh(asinh(p / b) - a)
      let rest = b * b / (hypot(p, b) + abs(p))
      return (result, abs(p) * exp(p < 0 ? a : -a) * (1 + abs(a)) + rest * sinh(abs(a)))
    }
  }
}
