import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// The trainings of ``InitialisationStudy``.
struct InitialisationRuns {
  private typealias Group = InitialisationStudy.Group

  /// A way to get first weights.
  private struct Start {
    var name: String
    var options: String
    var prepare: StudyPreparation

    init(_ name: String, _ initializer: Initializer, _ options: String) {
      self.name = name
      self.options = options
      prepare = { (trainer) throws(TensorError) in try trainer.model.initialize(initializer) }
    }

    init(_ name: String, _ options: String, _ prepare: @escaping StudyPreparation) {
      (self.name, self.options, self.prepare) = (name, options, prepare)
    }
  }

  private static let batchSize = 32
  private let setting: StudySetting

  init(_ setting: StudySetting) { self.setting = setting }

  private var epochs: Int { setting.pick(full: 5, quick: 3) }

  private var zeros: Start { Start("zeros", .zeros, "all weights 0") }
  private var ones: Start { Start("ones", .ones, "all weights 1") }
  private var large: Start {
    Start("uniform, too large", .uniform(low: -1, high: 1), "uniform in -1 ... 1")
  }
  private var small: Start {
    Start("normal 0.01", .normal(mean: 0, deviation: 0.01), "normal, deviation 0.01")
  }
  private var glorot: Start {
    Start("Glorot", .glorotUniform, "uniform, variance 2 / (fan-in + fan-out)")
  }
  private var he: Start { Start("He", .heNormal, "normal, variance 2 / fan-in") }
  private var lecun: Start { Start("LeCun", .lecunNormal, "normal, variance 1 / fan-in") }
  private var orthogonal: Start {
    Start("orthogonal", .orthogonal(gain: 1.414_213_5), "orthonormal times √2")
  }
  private var lsuv: Start {
    let setting = setting
    return Start(
      "LSUV", "orthonormal, then variance 1 in each layer on a batch of 256"
    ) { (trainer) throws(TensorError) in
      let places = (0..<min(256, setting.train.count)).map { Int32($0) }
      let examples = setting.train.gather(places)
      let shape = Shape([places.count] + setting.train.exampleShape.extents)
      try trainer.model.initializeLSUV(
        on: inputTensor(examples.features, shape: shape, on: setting.device))
    }
  }

  /// The CNN with all ways to start.
  func convolutional() -> [StudyRun] {
    let starts = setting.pick(
      full: [zeros, ones, large, small, glorot, he, lecun, orthogonal, lsuv],
      quick: [zeros, large, he, orthogonal, lsuv])
    return starts.map { start in
      run(start, Group.convolutional, Models.digitsCNN(classes: classes), rate: 0.05)
    }
  }

  /// The deep network; residual forms come last.
  func deep() -> [StudyRun] {
    let plain = setting.pick(
      full: [zeros, ones, large, small, glorot, he, lecun, orthogonal, lsuv],
      quick: [large, small, he, orthogonal, lsuv])
    let residual: [(Start, scale: Float)] = [
      (Start("residual, He", .heNormal, "blocks of two layers around x, no other care"), 1),
      (
        Start("residual, Fixup", "He / √9 in branches, whose last weights are 0") {
          (trainer) throws(TensorError) in
          try trainer.model.initializeFixup()
        }, 1
      ),
      (Start("residual, ReZero", .heNormal, "each branch times a learned number, 0 at first"), 0),
    ]
    return plain.map { run($0, Group.deep, deepNetwork, rate: 0.01) }
      + residual.map {
        run($0.0, Group.deep, residualNetwork(initialScale: $0.scale), rate: 0.01)
      }
  }

  /// Good first weights with too large a learning rate.
  func fast() -> [StudyRun] {
    [he, orthogonal, lsuv].map { start in
      run(start, Group.fast, Models.digitsCNN(classes: classes), rate: 2)
    }
  }

  /// The update at the start, at each epoch and at each step, in both modes.
  func update() -> [StudyRun] {
    let network = Models.digitsCNN(classes: classes)
    let article = { () throws(TensorError) in try ShrinkAndPerturb.article(learningRate: 0.1) }
    let noted = "w = 0.1 w + 0.1 U(0, 1)"
    let centred = "noise of mean 0 that keeps He's variance"
    return [
      run(he, Group.update, network, rate: 0.05, as: "without it"),
      run(
        updated("article, at the start", noted + ", once", article), Group.update, network,
        rate: 0.05),
      repeated(
        "article, each epoch", noted + " after each epoch but the last", every: stepsPerEpoch,
        article),
      repeated("article, each step", noted + " after each step", every: 1, article),
      run(
        updated(
          "recommended, at the start", "w = 0.5 w + noise; " + centred,
          {
            () throws(TensorError) in try ShrinkAndPerturb.recommended(shrink: 0.5)
          }), Group.update, network, rate: 0.05),
      repeated(
        "recommended, each epoch", "w = 0.8 w + noise after each epoch but the last; " + centred,
        every: stepsPerEpoch
      ) { () throws(TensorError) in try ShrinkAndPerturb.recommended(shrink: 0.8) },
    ]
  }

  /// The update at the start of the deep network.
  func deepUpdate() -> [StudyRun] {
    [
      run(
        updated("article", "w = 0.1 w + 0.1 U(0, 1), once") { () throws(TensorError) in
          try ShrinkAndPerturb.article(learningRate: 0.1)
        }, Group.deepUpdate, deepNetwork, rate: 0.01),
      run(
        updated("recommended", "w = 0.5 w + noise that keeps He's variance, once") {
          () throws(TensorError) in
          try ShrinkAndPerturb.recommended(shrink: 0.5)
        }, Group.deepUpdate, deepNetwork, rate: 0.01),
    ]
  }

  private var classes: Int { setting.train.classCount }

  private var stepsPerEpoch: Int {
    (setting.train.count + Self.batchSize - 1) / Self.batchSize
  }

  private var deepNetwork: Sequential {
    Models.mlp(hidden: [Int](repeating: 64, count: 19), classes: classes)
  }

  /// As deep as the other: a layer, nine blocks of two, a layer.
  private func residualNetwork(initialScale: Float) -> Sequential {
    Sequential {
      Flatten()
      Dense(64, activation: .relu)
      for _ in 0..<9 {
        ReZero(initialScale: initialScale) {
          Dense(64, activation: .relu)
          Dense(64)
        }
      }
      Dense(classes)
    }
  }

  private func run(
    _ start: Start, _ group: String, _ network: Sequential, rate: Float, as name: String? = nil
  ) -> StudyRun {
    let isDeep = [Group.deep, Group.deepUpdate].contains(group)
    var run = StudyRun(
      name ?? start.name, group: group, options: start.options, network: network,
      optimizer: .sgd(learningRate: rate, momentum: isDeep ? 0.9 : 0),
      epochs: isDeep ? 2 * epochs : epochs)
    run.batchSize = Self.batchSize
    run.prepare = start.prepare
    run.showsGradients =
      group == Group.deep && ["normal 0.01", "He"].contains(start.name)
    return run
  }

  /// He's weights, changed once.
  private func updated(
    _ name: String, _ options: String,
    _ rule: @escaping () throws(TensorError) -> ShrinkAndPerturb
  ) -> Start {
    Start(name, options) { (trainer) throws(TensorError) in
      try trainer.model.initialize(.heNormal)
      try rule().initialize(trainer.model)
    }
  }

  /// He's weights, changed again and again, but not after the last step.
  private func repeated(
    _ name: String, _ options: String, every interval: Int,
    _ rule: @escaping () throws(TensorError) -> ShrinkAndPerturb
  ) -> StudyRun {
    var run = run(he, Group.update, Models.digitsCNN(classes: classes), rate: 0.05, as: name)
    run.options = options
    let last = stepsPerEpoch * run.epochs
    run.afterStep = { (trainer, step) throws(TensorError) in
      guard step % interval == 0, step < last else { return }
      try rule().apply(to: trainer.model, step: UInt64(step - 1))
    }
    return run
  }
}
