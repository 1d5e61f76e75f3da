import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining
import Testing

/// Rules before the first step of a training.
@Suite struct LintFitTests {
  private final class Listener: Callback {
    var heard: [[Diagnostic]] = []
    func warned(_ warnings: [Diagnostic]) { heard.append(warnings) }
  }

  private func trainer(_ learningRate: Float, zeros: Bool = false) throws -> Trainer {
    let initializer: Initializer = zeros ? .zeros : .glorotUniform
    return try Model(
      Sequential {
        Flatten()
        Dense(8, activation: .relu, initializer: initializer)
        Dense(4, initializer: initializer)
      }, input: [8, 8, 1], device: .cpu, seed: 2
    ).compile(optimizer: .adam(learningRate: learningRate), loss: .softmaxCrossEntropy())
  }

  @Test func errorsEndTheTrainingBeforeItsFirstStep() throws {
    let data = try TestData.columns(32)
    let wrong = try trainer(0.01, zeros: true)
    let before = try TestData.bits(wrong.model)
    let text = sentence { try wrong.fit(data, epochs: 1) }
    #expect(text.hasPrefix("dense1: the weights of dense1 and dense2 are all equal"))
    #expect(wrong.history.steps.isEmpty && wrong.updater.step == 0)
    #expect(try TestData.bits(wrong.model) == before)
    wrong.lintPolicy = .off
    try wrong.fit(data, epochs: 1)
    #expect(wrong.updater.step == 1)
    try trainer(0.01).fit(data, epochs: 1)
  }

  @Test func oneUnitIsNamed() throws {
    let trainer = try Model(
      Sequential {
        Flatten()
        Dense(1)
      }, input: [8, 8, 1], device: .cpu
    ).compile(optimizer: .adam(), loss: .softmaxCrossEntropy())
    let text = sentence { try trainer.fit(TestData.columns(32), epochs: 1) }
    #expect(text.contains("one-unit-softmax") && text.contains("identically zero"))
  }

  @Test func trainingOnTheTestSetIsRefused() throws {
    let data = try TestData.columns(32)
    let text = sentence { try trainer(0.01).fit(data, epochs: 1, validation: .data(data)) }
    #expect(text.contains("train-test-overlap") && text.contains("32 of 32 examples"))
    try trainer(0.01).fit(data, epochs: 1, validation: .split(0.2))
  }

  @Test func warningsAreToldAndPoliciesObeyed() throws {
    let data = try TestData.columns(32)
    func run(_ policy: LintPolicy, rate: Float = 1) throws -> (Trainer, Listener) {
      let (trainer, listener) = (try trainer(rate), Listener())
      trainer.lintPolicy = policy
      try trainer.fit(data, epochs: 1, callbacks: [listener])
      return (trainer, listener)
    }
    let (told, listener) = try run(.report)
    #expect(told.warnings.map(\.rule) == ["learning-rate-gain"])
    #expect(listener.heard == [told.warnings])
    let (quiet, deaf) = try run(.errors)
    #expect(quiet.warnings == [] && deaf.heard == [])
    // What is said changes nothing.
    #expect(try TestData.bits(told.model) == TestData.bits(quiet.model))
    #expect(sentence { _ = try run(.strict) }.hasPrefix("learning rate: 1"))
    let (mended, _) = try run(.strict, rate: 0.01)
    #expect(mended.warnings == [])
  }

  @Test func aTrainerKnowsItsOptions() throws {
    let data = try TestData.columns(33)
    let flat = try Model(
      Sequential {
        Flatten()
        BatchNorm()
        Dense(4)
      }, input: [8, 8, 1], device: .cpu)
    let trainer = try flat.compile(
      optimizer: .adam(), loss: .softmaxCrossEntropy(),
      stability: Stability(clip: [.perExample(1)]), pair: PairTerm(form: .linear))
    #expect(
      trainer.lint(train: data, batchSize: 8).map(\.rule) == [
        "per-example-clip-batch-norm", "difference-as-gradient",
      ])
    let right = try flat.compile(
      optimizer: .adam(), loss: .softmaxCrossEntropy(), pair: PairTerm(form: .logistic))
    #expect(right.lint(train: data, batchSize: 9) == [])
  }
}
