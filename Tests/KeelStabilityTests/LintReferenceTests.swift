import FoundationEssentials
import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import Testing

/// What the rules leave alone, and what they survive.
@Suite struct LintReferenceTests {
  private static let recipes: [ModelRecipe] = [
    .digitsCNN(classes: 10), .mlp(hidden: [128], classes: 10), .resNet18(classes: 10),
    .denseNet(depth: 40, growth: 12, classes: 10), .lstmClassifier(units: 64, classes: 10),
    .convolutionalLSTM(classes: 10),
  ]

  @Test(arguments: recipes) func referenceModelsGiveNone(_ recipe: ModelRecipe) throws {
    let data = try SyntheticDigits.trainAndTest(train: 300, test: 100)
    let model = try Model(recipe, input: data.train.exampleShape, device: .cpu)
    for optimizer in [
      Optimizer.adam(), .adamW(), .sgd(learningRate: 0.05, momentum: 0.9),
    ] {
      let found = Lint.check(
        model: model, loss: .softmaxCrossEntropy(), optimizer: optimizer,
        stability: Stability(clip: [.globalNorm(1)]), train: data.train, test: data.test,
        augmentation: try Augmentation(parsing: "shift=2,rotate=10,erase=6"), batchSize: 64,
        runsPass: optimizer.name == "adam")
      #expect(found == [], "\(recipe.name), \(optimizer.name): \(found)")
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity, 0, -1, 1e38, .leastNonzeroMagnitude])
  func garbageIsSurvived(_ value: Float) throws {
    let model = try LintBench.model([6]) {
      Dense(8, activation: .relu)
      BatchNorm()
      Dense(1)
    }
    for parameter in model.parameters {
      try model.setWeights(
        [Float](repeating: value, count: parameter.shape.count), named: parameter.name)
    }
    let data = try Dataset(
      features: [Float](repeating: value, count: 24), extents: [6], labels: [0, 1, 2, 0],
      classCount: 3)
    for optimizer in [
      Optimizer.sgd(learningRate: value, momentum: value), .adam(learningRate: value),
      .mirrorDescent(map: .euclidean, learningRate: value),
    ] {
      for loss in [
        Loss.softmaxCrossEntropy(labelSmoothing: value), .huber(delta: value),
        .sigmoidCrossEntropy,
      ] {
        let found = Lint.check(
          model: model, loss: loss, optimizer: optimizer, learningRate: value,
          schedule: .exponential(factor: Double(value)),
          stability: Stability(clip: [.globalNorm(value)], lossScale: value), train: data,
          test: data, batchSize: value == 1e38 ? Int.min : 1)
        #expect(!found.isEmpty)
        #expect(found == found.errors + found.warnings)
      }
    }
  }

  @Test func diagnosticsAreReadAsTheyAreWritten() throws {
    let model = try LintBench.model([6]) { Dense(1) }
    let found = Lint.check(model: model, loss: .softmaxCrossEntropy())
    #expect(
      try JSONDecoder().decode([Diagnostic].self, from: JSONEncoder().encode(found)) == found)
    #expect(
      found.first?.description.hasPrefix("error: dense1: softmax-cross-entropy of one unit") == true
    )
    #expect(Diagnostic.Severity.warning < .error)
  }
}
