import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelTraining
import Testing

/// On devices of their own: their counters are looked at.
@Suite(.serialized) struct RecurrentTrainingTests {
  private func train(_ recipe: ModelRecipe, _ device: Device, epochs: Int) throws -> Trainer {
    let trainer = try Model(recipe, input: [8, 8, 1], device: device, seed: 5)
      .compile(optimizer: .adam(learningRate: 0.02), loss: .softmaxCrossEntropy())
    try trainer.fit(TestData.columns(32), epochs: epochs, batchSize: 16)
    return trainer
  }

  @Test(arguments: TestDevices.fresh)
  func anLSTMClassifierLearnsTheSameTwice(_ device: Device) throws {
    let recipe = ModelRecipe.lstmClassifier(units: 12, classes: 4)
    let first = try train(recipe, device, epochs: 10)
    let losses = first.history.epochs.map(\.loss)
    #expect(losses[0] > 1.2 && losses[9] < 0.2)
    #expect(try first.evaluate(TestData.columns(32)).accuracy == 1)
    let second = try train(recipe, device, epochs: 10)
    #expect(try TestData.bits(second.model) == TestData.bits(first.model))
  }

  @Test(arguments: TestDevices.fresh)
  func theConvolutionalLSTMLearns(_ device: Device) throws {
    let trainer = try train(.convolutionalLSTM(classes: 4), device, epochs: 6)
    let losses = trainer.history.epochs.map(\.loss)
    #expect(losses[5] < losses[0] / 2)
  }

  @Test(arguments: TestDevices.fresh) func tapsReadTheHostOnlyWhenAsked(_ device: Device) throws {
    let taps = GradientTaps()
    let model = try Model(
      Sequential { GRU(4, bidirectional: true).tapped(taps) }, input: [5, 3], device: device,
      seed: 6)
    let x = try Tensor.ones([6, 5, 3], on: device)
    let before = device.counters.blockingReads
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
    #expect(device.counters.blockingReads == before)
    #expect(try taps.norms(of: "gru1.backward").count == 5)
    #expect(device.counters.blockingReads == before + 1)
  }

  @Test func recipesOfRecurrentModelsCanBeRebuilt() throws {
    for recipe in [
      ModelRecipe.lstmClassifier(units: 7, classes: 3), .convolutionalLSTM(classes: 5),
    ] {
      #expect(ModelRecipe.names.contains(recipe.name))
      let text = try JSONEncoder().encode(recipe)
      #expect(try JSONDecoder().decode(ModelRecipe.self, from: text) == recipe)
    }
  }
}
