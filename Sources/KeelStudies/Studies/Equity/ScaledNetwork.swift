import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability

/// A deep network of relu layers whose weights are scaled by 1000 and by 1/1000 in turn: the same
/// function as before, with gradients that differ by 10^6 from layer to layer.
struct ScaledNetwork {
  let depth: Int
  let width: Int

  /// The layers, without normalisation.
  var plain: Sequential { Models.deepRelu(depth: depth, width: width, classes: 10) }

  /// The layers, each followed by batch normalisation.
  var normalised: Sequential {
    Sequential {
      Flatten()
      for _ in 0..<depth {
        Dense(width, usesBias: false, initializer: .heNormal)
        BatchNorm(momentum: 0.9, activation: .relu)
      }
      Dense(10)
    }
  }

  /// Scales the weights of a model, or the first ones.
  static func scale(_ model: Model, first: Int = .max) throws {
    let weights = model.parameters.filter { $0.shape.rank >= 2 }
    for (place, parameter) in weights.prefix(first).enumerated() {
      let factor: Float = place % 2 == 0 ? 1e3 : 1e-3
      try model.setWeights(
        try model.weights(named: parameter.name).map { $0 * factor }, named: parameter.name)
    }
  }
}

/// What the equity transform does to one model: nothing to its output, much to its gradient.
struct EquityCheck {
  let outputIsEqual: Bool
  let lossIsEqual: Bool
  /// Squared norms of all gradients, by backward passes before and after.
  let squareBefore: Double
  let squareAfter: Double
  /// The least square that any multipliers reach.
  let squareAtBest: Double
  let imbalance: Double

  /// The square after over the least one: at most 1.25 by multipliers that are powers of two.
  var ratio: Double { squareAfter / squareAtBest }

  init(_ transform: EquityTransform, of model: Model, _ batch: TrialBatch) throws {
    let output = try model(batch.inputs).scalars()
    let loss = try batch.backward(model)
    let before = try model.gradientNorm()
    let plan = try transform.apply(to: model)
    let bits = try model(batch.inputs).scalars()
    outputIsEqual = zip(bits, output).allSatisfy { $0.bitPattern == $1.bitPattern }
    lossIsEqual = try batch.backward(model) == loss
    let after = try model.gradientNorm()
    (squareBefore, squareAfter) = (before * before, after * after)
    squareAtBest =
      transform.choice == .gradientBalancing ? plan.smallestNorm * plan.smallestNorm : .nan
    imbalance = plan.imbalance
  }
}
