import FoundationEssentials
import Keel
import KeelData
import KeelNN
import KeelTraining
import Testing

@Suite(.serialized) struct NetworkTrainingTests {
  /// A small DenseNet-BC learns 64 digits by heart.
  @Test func denseNetOverfitsSixtyFourDigits() throws {
    let digits = try SyntheticDigits.dataset(.train, count: 64)
    let network = Sequential {
      AvgPool2D(2)
      Models.denseNet(depth: 10, growth: 8, classes: 10).layers
    }
    let model = try Model(network, input: [28, 28, 1], device: .cpu, seed: 3)
    let trainer = try model.compile(
      optimizer: .adam(learningRate: 1e-2), loss: .softmaxCrossEntropy())
    let history = try trainer.fit(digits, epochs: 50, batchSize: 16).history
    #expect(history.epochs[0].accuracy ?? 1 < 0.5)
    #expect(history.epochs.contains { $0.accuracy == 1 })
  }

  @Test func recipesCanBeWrittenDown() throws {
    let recipes: [ModelRecipe] = [
      .resNet18(classes: 10), .resNet18(classes: 3, norm: .group),
      .denseNet(depth: 22, growth: 8, compression: 0.4, classes: 7),
    ]
    for recipe in recipes {
      let bytes = try JSONEncoder().encode(recipe)
      #expect(try JSONDecoder().decode(ModelRecipe.self, from: bytes) == recipe)
      #expect(ModelRecipe.names.contains(recipe.name))
    }
  }
}
