import KeelTraining
import KeelBackend
import KeelNN
import KeelStability

/// The variants of the study of dropout, Deadly Flip and mirror descent.
struct FlipAndMirrorPlans {
  /// Passes over the data.
  let epochs: Int

  /// Dropout, each variant beside the one that differs in nothing else: Adam with a rate of 0.01
  /// and sigmoid cross-entropy, as the article has it.
  var dropout: [(plan: TrialPlan, control: String?)] {
    func plan(_ name: String, _ network: Sequential) -> TrialPlan {
      TrialPlan(
        name: name, group: "Dropout", network: network, optimizer: .adam(learningRate: 0.01),
        loss: .sigmoidCrossEntropy, epochs: epochs)
    }
    return [
      (plan("wide", Models.mlp(hidden: [128], classes: 10)), nil),
      (plan("wide, dropout 0.2", Models.mlp(hidden: [128], classes: 10, dropout: 0.2)), "wide"),
      (plan("wide, dropout 0.5", Models.mlp(hidden: [128], classes: 10, dropout: 0.5)), "wide"),
      (plan("narrow", Models.mlp(hidden: [12], classes: 10)), nil),
      (
        plan("narrow, dropout 0.5", Models.mlp(hidden: [12], classes: 10, dropout: 0.5)), "narrow"
      ),
      (plan("batch-norm", Self.normalised(dropoutBefore: 0, after: 0)), nil),
      (
        plan("dropout 0.5, then batch-norm", Self.normalised(dropoutBefore: 0.5, after: 0)),
        "batch-norm"
      ),
      (
        plan("batch-norm, then dropout 0.5", Self.normalised(dropoutBefore: 0, after: 0.5)),
        "batch-norm"
      ),
    ]
  }

  private static func normalised(dropoutBefore before: Float, after: Float) -> Sequential {
    Sequential {
      Flatten()
      for _ in 0..<2 {
        Dense(64, activation: .relu)
        if before > 0 { Dropout(before) }
        BatchNorm(momentum: 0.9)
        if after > 0 { Dropout(after) }
      }
      Dense(10)
    }
  }

  /// One optimiser at one rate, without Deadly Flip and with it in each of its modes.
  struct FlipGroup {
    var name: String
    var optimizer: Optimizer
    var isFluctuating: Bool
    /// The relative changes between which units are exchanged.
    var volatile: Double
    var calm: Double
  }

  /// Deadly Flip's groups: at a usual rate and at one so high that the loss fluctuates.
  static let flipGroups = [
    FlipGroup(
      name: "momentum, usual rate", optimizer: .sgd(learningRate: 0.2, momentum: 0.9),
      isFluctuating: false, volatile: 0.002, calm: 0.001),
    FlipGroup(
      name: "momentum, high rate", optimizer: .sgd(learningRate: 1, momentum: 0.9),
      isFluctuating: true, volatile: 0.02, calm: 0.01),
    FlipGroup(
      name: "Adam, usual rate", optimizer: .adam(learningRate: 0.002), isFluctuating: false,
      volatile: 0.002, calm: 0.001),
    FlipGroup(
      name: "Adam, high rate", optimizer: .adam(learningRate: 0.03), isFluctuating: true,
      volatile: 0.02, calm: 0.01),
  ]

  /// The variants of one group; the first is without Deadly Flip.
  func plans(of group: FlipGroup) throws -> [TrialPlan] {
    func plan(_ name: String, _ flip: DeadlyFlip?) -> TrialPlan {
      var plan = TrialPlan(
        name: "\(group.name), \(name)", group: "Deadly Flip",
        network: Models.mlp(hidden: [64, 32], classes: 10),
        optimizer: group.optimizer, loss: .sigmoidCrossEntropy, epochs: epochs)
      plan.stability.flip = flip
      return plan
    }
    return [plan("no flip", nil)]
      + (try DeadlyFlip.Mode.allCases.map { mode in
        plan(
          mode.rawValue,
          try DeadlyFlip(
            mode, volatile: group.volatile, calm: group.calm, period: 4, cooldown: 4))
      })
  }

  /// Mirror descent beside plain descent. Rates are chosen so that a step is about as large as that
  /// of plain descent with weights of the usual size.
  func mirror(isHigh: Bool) -> [TrialPlan] {
    let rate: Float = isHigh ? 0.3 : 0.1
    let suffix = isHigh ? "high rate" : "usual rate"
    func plan(_ name: String, _ optimizer: Optimizer, positive: Bool = false) -> TrialPlan {
      var plan = TrialPlan(
        name: "\(name), \(suffix)", group: "Mirror descent",
        network: positive ? Self.positive : Models.mlp(hidden: [64, 32], classes: 10),
        optimizer: optimizer, epochs: epochs)
      plan.stability.maximumSkips = 3
      return plan
    }
    func mirror(
      _ map: MirrorMap, _ factor: Float, optimistic: Bool = false, limit: Float? = nil
    ) -> Optimizer {
      .mirrorDescent(
        map: map, learningRate: rate * factor, isOptimistic: optimistic, stepLimit: limit)
    }
    var plans = [
      plan("descent", .sgd(learningRate: rate)),
      plan("euclidean", mirror(.euclidean, 1)),
      plan("power 1.5", mirror(.power(q: 1.5), 2)),
      plan("power 3", mirror(.power(q: 3), 0.1)),
      plan("hypentropy", mirror(.hypentropy(beta: 0.1), 5)),
      plan("entropy", mirror(.entropy, 20), positive: true),
      plan("descent, positive weights", .sgd(learningRate: rate), positive: true),
      plan("optimistic", mirror(.euclidean, 1, optimistic: true)),
    ]
    if isHigh {
      plans += [
        plan("hypentropy, no limit, 3 x", mirror(.hypentropy(beta: 0.1), 30, limit: .infinity)),
        plan("entropy, no limit, 3 x", mirror(.entropy, 60, limit: .infinity), positive: true),
      ]
    }
    return plans
  }

  /// Weights that begin positive, as the entropy map needs them; batch normalisation gives units
  /// both signs.
  private static var positive: Sequential {
    Sequential {
      Flatten()
      Dense(64, initializer: .uniform(low: 0.01, high: 0.1))
      BatchNorm(momentum: 0.9, activation: .relu)
      Dense(32, initializer: .uniform(low: 0.01, high: 0.1))
      BatchNorm(momentum: 0.9, activation: .relu)
      Dense(10, initializer: .uniform(low: 0.01, high: 0.1))
    }
  }
}
