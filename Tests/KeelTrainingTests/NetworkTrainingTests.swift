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
    let model = try Model(
      .denseNet(depth: 10, growth: 6, classes: 10), input: [28, 28, 1], device: .cpu, seed: 3)
    let trainer = try model.compile(
      optimizer: .adam(learningRate: 1e-2), loss: .softmaxCrossEntropy())
    _ = try trainer.fit(digits, epochs: 20, batchSize: 32)
    let result = try trainer.evaluate(digits)
    #expect(result.accuracy == 1)
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
