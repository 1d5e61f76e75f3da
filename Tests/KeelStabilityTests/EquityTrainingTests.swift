import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What the equity transform does for a training that explodes without it.
@Suite struct EquityTrainingTests {
  /// Feature 6: 50 relu layers without normalisation, scaled by 10^±3 in turn, explode in the first
  /// steps; after the equity transform alone they train.
  @Test(arguments: TestDevices.all) func deepScaledNetworkTrains(_ device: Device) throws {
    let steps = 120
    let values = (0..<512).map { (place: Int) -> Float in
      Float((place * 97 + place / 8 * 31) % 101) / 50 - 1
    }
    let x = try Tensor(values, shape: [64, 8], on: device)
    let labels = try Tensor(
      (0..<64).map { (row: Int) -> Int32 in values[row * 8] + values[row * 8 + 1] > 0 ? 1 : 0 },
      shape: [64], on: device)
    func losses(equity: Bool) throws -> [Float] {
      let layers: [any Layer] = (0..<49).map { _ in
        Dense(32, activation: .relu, initializer: .heNormal)
      }
      let model = try Model(
        Sequential(layers + [Dense(2, initializer: .heNormal)]), input: [8], device: device,
        seed: 2)
      for (place, parameter) in model.parameters.filter({ $0.shape.rank == 2 }).enumerated() {
        let scale: Float = place % 2 == 0 ? 1e3 : 1e-3
        try model.setWeights(
          try model.weights(named: parameter.name).map { $0 * scale }, named: parameter.name)
      }
      func loss(_ pass: Pass) throws(TensorError) -> Tensor {
        try Loss.softmaxCrossEntropy()(model(x, pass), labels)
      }
      if equity {
        let plan = try EquityTransform().prepare(model, loss)
        #expect(plan.imbalance > 1e5 && plan.normAfter < plan.normBefore / 100, "\(plan)")
      }
      let updater = try Updater(.sgd(learningRate: 0.01), for: model)
      var losses: [Float] = []
      for step in 0..<(equity ? steps : 6) {
        let value = try model.valueAndGradient(loss)
        try updater.update()
        if !equity || step % 20 == 0 || step == steps - 1 { losses += try value.scalars() }
      }
      return losses
    }
    let baseline = try losses(equity: false)
    #expect(!(baseline.last ?? 0).isFinite || (baseline.last ?? 0) > 1e6, "\(baseline)")
    let trained = try losses(equity: true)
    #expect(trained.allSatisfy { $0.isFinite })
    #expect(trained[0] == baseline[0])
    #expect((trained.last ?? 1) < 0.6 * trained[0], "\(trained)")
  }
}
