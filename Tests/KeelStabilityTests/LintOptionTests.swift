import Keel
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// Rules about optimizer, schedule, clipping and first values.
@Suite struct LintOptionTests {
  private let logits = Loss.softmaxCrossEntropy()

  private func model() throws -> Model {
    try LintBench.model([6]) {
      Dense(8, activation: .relu)
      Dense(3)
    }
  }

  /// Article B: clip by value with the threshold 0.0.
  @Test func clipLimit() throws {
    let model = try model()
    for stage in [ClipStage.elementwise(0), .globalNorm(-1), .perTensorNorm(.nan)] {
      let found = Lint.check(
        model: model, loss: logits, optimizer: .adam(), stability: Stability(clip: [stage]))
      expectOnly(
        found, .error, "clip-limit", at: "clip", saying: "a finite limit above 0",
        "nil, not 0, turns clipping off")
      #expect(
        sentence {
          _ = try model.compile(
            optimizer: .adam(), loss: logits, stability: Stability(clip: [stage]))
        }.contains("a finite limit above 0"))
    }
    #expect(
      Lint.check(
        model: model, loss: logits, optimizer: .adam(),
        stability: Stability(clip: [.elementwise(0.5)])) == [])
    #expect(Lint.check(model: model, loss: logits, optimizer: .adam()) == [])
  }

  @Test func optionsThatATrainerRefuses() throws {
    let model = try model()
    expectOnly(
      Lint.check(model: model, loss: .huber(delta: 0)), .error, "loss-option", at: "huber")
    expectOnly(
      Lint.check(model: model, loss: logits, schedule: .linear(updates: 0)), .error,
      "schedule-option", at: "schedule")
    expectOnly(
      Lint.check(model: model, loss: logits, optimizer: .adam(learningRate: .nan)), .error,
      "optimizer-option", at: "adam", saying: "learning rate")
    expectOnly(
      Lint.check(
        model: model, loss: logits, optimizer: .adamW(),
        stability: Stability(penalties: [.l2(0.1)])),
      .error, "stability-option", at: "stability", saying: "decay twice")
  }

  /// Article B: a learning rate taken from something that is not a number.
  @Test func learningRatesThatAreNoNumbersAreRefused() {
    let text = sentence { _ = try Schedule.learningRate(parsing: "model.fit") }
    #expect(text.contains("a finite number above 0") && text.contains("cosine:"))
    #expect(text.contains("'model.fit'"))
  }

  @Test func clipBeforeUnscale() throws {
    let model = try model()
    func found(_ stage: ClipStage, _ scale: Float) -> [Diagnostic] {
      Lint.check(
        model: model, loss: logits, optimizer: .adam(),
        stability: Stability(clip: [stage], lossScale: scale))
    }
    expectOnly(
      found(.globalNorm(2048), 1024), .warning, "clip-before-unscale", at: "clip global-norm",
      saying: "1024", "use 2")
    #expect(found(.globalNorm(2), 1024) == [])
    #expect(found(.globalNorm(2048), 1) == [])
    #expect(found(.zClip(), 1024) == [])
  }

  @Test func float16WithoutLossScale() throws {
    func found(_ precision: Precision, _ scale: Float) throws -> [Diagnostic] {
      let model = try Model(
        Models.mlp(hidden: [8], classes: 3), input: [6], device: .cpu, precision: precision)
      return Lint.check(
        model: model, loss: logits, optimizer: .adam(), stability: Stability(lossScale: scale))
    }
    expectOnly(
      try found(.float16, 1), .warning, "float16-without-loss-scale", at: "stability",
      saying: "become 0", "Stability(lossScale: 1024)")
    #expect(try found(.float16, 1024) == [])
    #expect(try found(.bfloat16, 1) == [])
    #expect(try found(.float32, 1) == [])
  }

  /// Article A: weights replaced by w * 0.1 + U(0, 1) * 0.1, the rate from an integer in 0 ... 100.
  @Test func allPositiveWeights() throws {
    let model = try Model(
      Models.mlp(hidden: [64], classes: 3), input: [6], device: .cpu, seed: 5)
    let found = Lint.check(
      model: model, loss: logits, perturbation: try .article(learningRate: 0.1))
    expectOnly(
      found, .warning, "all-positive-weights", saying: "all weights become positive, 0.05556",
      "fan-in is above 18", "the largest here: 64", "erases 90 %")
    #expect(sentence { _ = try ShrinkAndPerturb.article(learningRate: 50) }.contains("below 1"))
    #expect(
      Lint.check(model: model, loss: logits, perturbation: try .recommended(shrink: 0.1)) == [])
    // It is so.
    try ShrinkAndPerturb.article(learningRate: 0.1).initialize(model, times: 8)
    #expect(try model.weights(named: "dense1.weight").allSatisfy { $0 > 0 })
  }

  @Test func initialisationGain() throws {
    func found(_ initializer: Initializer) throws -> [Diagnostic] {
      Lint.check(
        model: try Model(
          Models.deepRelu(depth: 50, width: 16, classes: 3, initializer: initializer), input: [6],
          device: .cpu, seed: 1), loss: logits)
    }
    expectOnly(
      try found(.normal(mean: 0, deviation: 1)), .warning, "initialisation-gain", at: "dense1",
      saying: "grow", ".heNormal")
    expectOnly(
      try found(.lecunNormal), .warning, "initialisation-gain", saying: "shrink")
    expectOnly(try found(.uniform(low: 0, high: 0.5)), .warning, "initialisation-gain")
    #expect(try found(.heNormal) == [])
  }

  @Test func learningRateGain() throws {
    let wild = try LintBench.model([6]) {
      Dense(64, activation: .relu, initializer: .normal(mean: 0, deviation: 2))
      Dense(3, initializer: .normal(mean: 0, deviation: 2))
    }
    func found(_ model: Model, _ optimizer: Optimizer, _ schedule: Schedule = .constant)
      -> [Diagnostic]
    { Lint.check(model: model, loss: logits, optimizer: optimizer, schedule: schedule) }
    expectOnly(
      found(wild, .sgd(learningRate: 0.1)), .warning, "learning-rate-gain", at: "learning rate",
      saying: "is too large for the initialisation", "dense1", "warm-up")
    #expect(found(wild, .sgd(learningRate: 1e-3)) == [])
    #expect(
      found(wild, .sgd(learningRate: 0.1), .warmup(updates: 1000, then: .constant)) == [])
    // The same rate with first values of the usual size.
    #expect(found(try model(), .sgd(learningRate: 0.1)) == [])
    expectOnly(
      found(try model(), .adam(learningRate: 1)), .warning, "learning-rate-gain",
      saying: "erases them")
    #expect(found(try model(), .adam(learningRate: 0.01)) == [])
    // Trained weights are no first values.
    #expect(
      Lint.check(
        model: wild, loss: logits, optimizer: .sgd(learningRate: 0.1), isFresh: false) == [])
  }

  private func normed(_ input: Shape, flat: Bool) throws -> Model {
    try LintBench.model(input) {
      if flat { Flatten() } else { Conv2D(4, kernel: 3) }
      BatchNorm()
      Flatten()
      Dense(3)
    }
  }

  @Test func batchOfOneBatchNorm() throws {
    let (flat, image) = (try normed([6, 6, 1], flat: true), try normed([6, 6, 1], flat: false))
    let data = try LintBench.data(33, shape: [6, 6, 1])
    func found(_ model: Model, _ batch: Int) -> [Diagnostic] {
      Lint.check(model: model, loss: logits, train: data, batchSize: batch)
    }
    expectOnly(
      found(flat, 1), .error, "batch-of-one-batch-norm", at: "batchnorm1", saying: "no variance")
    expectOnly(
      found(flat, 32), .error, "batch-of-one-batch-norm", saying: "the last batch of an epoch")
    expectOnly(found(image, 1), .warning, "batch-of-one-batch-norm", saying: "GroupNorm()")
    #expect(found(image, 32) == [])
    #expect(found(flat, 31) == [])
    try flat.freeze("batchnorm1")
    #expect(found(flat, 1) == [])
  }

  @Test func perExampleClipBatchNorm() throws {
    let stability = Stability(clip: [.perExample(1)])
    func found(_ model: Model) -> [Diagnostic] {
      Lint.check(model: model, loss: logits, stability: stability, batchSize: 8)
    }
    let rule = "per-example-clip-batch-norm"
    expectOnly(found(try normed([6, 6, 1], flat: true)), .error, rule, at: "batchnorm1")
    expectOnly(found(try normed([6, 6, 1], flat: false)), .warning, rule, saying: "GroupNorm()")
    let right = try LintBench.model([6, 6, 1]) {
      Conv2D(4, kernel: 3)
      GroupNorm(2)
      Flatten()
      Dense(3)
    }
    #expect(found(right) == [])
  }
}
