import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// The trainings of ``DefencesStudy``.
struct DefenceRuns {
  private typealias Group = DefencesStudy.Group
  private static let batchSize = 32
  private let setting: StudySetting

  init(_ setting: StudySetting) { self.setting = setting }

  private var epochs: Int { setting.pick(full: 5, quick: 2) }
  private var classes: Int { setting.train.classCount }
  private var isFull: Bool { setting.scale == .full }
  private var steps: Int {
    epochs * ((setting.train.count + Self.batchSize - 1) / Self.batchSize)
  }

  /// No defence, and every one there is; the quick form leaves out near relatives.
  func defences() throws -> [StudiedDefence] {
    [StudiedDefence("none", nil, "no defence") { _ in }]
      + (try clipping()) + initialisation + (try augmentation()) + (try schedules())
      + regularisation
  }

  /// Each defence at a rate.
  func runs(_ defences: [StudiedDefence], _ group: String, rate: Float) -> [StudyRun] {
    defences.map { defence in
      run(defence, group, .sgd(learningRate: rate, momentum: 0.9))
    }
  }

  /// What little Adam, which divides gradients by their own size, leaves for clipping to do.
  func adam() -> [StudyRun] {
    let rate = DefencesStudy.adamRate
    let bare = StudiedDefence("none", nil, "no defence") { _ in }
    let adam = Optimizer.adam(learningRate: rate)
    let warm = StudiedDefence("warm-up, cosine", .schedule, warmText) { $0.schedule = warmUp }
    let decay = StudiedDefence("decoupled decay", .regularisation, "AdamW, 0.01") { _ in }
    let slow = StudiedDefence("a normal rate", nil, "0.001") { _ in }
    return [
      run(slow, Group.adam, .adam(learningRate: 1e-3)), run(bare, Group.adam, adam),
      run(clip("clip by global norm", .globalNorm(0.5)), Group.adam, adam),
      run(warm, Group.adam, adam),
      run(decay, Group.adam, .adamW(learningRate: rate, weightDecay: 0.01)),
    ]
  }

  private func run(_ defence: StudiedDefence, _ group: String, _ optimizer: Optimizer) -> StudyRun {
    var run = StudyRun(
      defence.name, group: group, options: defence.options,
      network: Models.digitsCNN(classes: classes), optimizer: optimizer, epochs: epochs)
    run.batchSize = Self.batchSize
    run.showsGradients =
      group == Group.fast && ["none", "clip by global norm"].contains(defence.name)
    defence.change(&run)
    return run
  }

  private func clip(_ name: String, _ stage: ClipStage) -> StudiedDefence {
    StudiedDefence(name, .clipping, "\(stage)") { $0.stability.clip = [stage] }
  }

  private func clipping() throws -> [StudiedDefence] {
    let always = [
      clip("clip by value", .elementwise(0.001)),
      clip("clip by norm", .perTensorNorm(0.1)),
      clip("clip by global norm", .globalNorm(0.1)),
      clip("adaptive clipping (AGC)", .unitwise(ratio: 0.01, floor: 1e-3)),
    ]
    guard isFull else { return always }
    return try always + [
      clip("clip by largest value", .globalMaxAbs(0.002)),
      clip("AutoClip", .autoClip(percentile: 10, window: 1000)),
      clip("ZClip", .zClip()), clip("AdaGC", .adaGC(limit: 0.1)),
      perExample(),
    ]
  }

  /// On few examples: each travels alone.
  private func perExample() throws -> StudiedDefence {
    let few = try setting.train[0..<min(1024, setting.train.count)]
    var defence = StudiedDefence(
      "clip per example", .clipping,
      "per-example 0.5; learns from \(few.count) examples; its norms are of clipped examples"
    ) { run in
      run.stability.clip = [.perExample(0.5)]
      run.train = few
      run.epochs = 3
    }
    defence.learnsFromFew = true
    return defence
  }

  private var initialisation: [StudiedDefence] {
    func start(_ name: String, _ initializer: Initializer, _ options: String) -> StudiedDefence {
      StudiedDefence(name, .initialisation, options) { run in
        run.prepare = { (trainer) throws(TensorError) in try trainer.model.initialize(initializer) }
      }
    }
    let he = start("He weights", .heNormal, "normal, variance 2 / fan-in")
    guard isFull else { return [he] }
    return [
      he, start("orthogonal weights", .orthogonal(), "orthonormal"),
      start("small weights", .normal(mean: 0, deviation: 0.01), "normal, deviation 0.01"),
    ]
  }

  private func augmentation() throws -> [StudiedDefence] {
    let gentle = try Augmentation(.shift(2), .rotate(degrees: 10), .zoom(0.9...1.1))
    let move = StudiedDefence("shift, rotate, zoom", .augmentation, "\(gentle)") {
      $0.augmentation = gentle
    }
    guard isFull else { return [move] }
    let mixing = try Augmentation(.mixUp(alpha: 0.2))
    return [move, StudiedDefence("MixUp", .augmentation, "\(mixing)") { $0.augmentation = mixing }]
  }

  private var warmUp: Schedule {
    .warmup(updates: steps / 4, then: .cosine(updates: steps - steps / 4))
  }
  private var warmText: String { "to the full rate in a quarter of the steps, then a cosine to 0" }

  private func schedules() throws -> [StudiedDefence] {
    let warm = StudiedDefence("warm-up, cosine", .schedule, warmText) { $0.schedule = warmUp }
    guard isFull else { return [warm] }
    let plateau = try PlateauReducer(.validationLoss, patience: 1, factor: 0.1)
    return [
      warm,
      StudiedDefence("steps", .schedule, "a tenth after each fifth of the steps") {
        $0.schedule = .step(every: max(1, steps / 5), factor: 0.1)
      },
      StudiedDefence("plateau", .schedule, "a tenth after an epoch that is not better") {
        $0.plateau = plateau
      },
    ]
  }

  private var regularisation: [StudiedDefence] {
    let kind = StudiedDefence.Family.regularisation
    let l2 = StudiedDefence("L2", kind, "5e-4") { $0.stability.penalties = [.l2(5e-4)] }
    let norm = StudiedDefence("max-norm", kind, "each unit's weights to a norm of 2") {
      $0.stability.constraints = [.maximumNorm(2)]
    }
    let dropout = StudiedDefence("dropout", kind, "half of the hidden units") { run in
      run.network = Sequential {
        Conv2D(32, kernel: 3, activation: .relu)
        MaxPool2D(2)
        Flatten()
        Dense(128, activation: .relu)
        Dropout(0.5)
        Dense(classes)
      }
    }
    guard isFull else { return [l2, norm, dropout] }
    return [
      StudiedDefence("L1", kind, "1e-5") { $0.stability.penalties = [.l1(1e-5)] }, l2,
      StudiedDefence("elastic net", kind, "L1 1e-5 and L2 5e-4") {
        $0.stability.penalties = [.elasticNet(l1: 1e-5, l2: 5e-4)]
      }, norm,
      StudiedDefence("spectral norm", kind, "each weight's largest singular value to 2") {
        $0.stability.constraints = [.spectralNorm(2)]
      }, dropout,
      StudiedDefence("label smoothing", kind, "0.1") {
        $0.loss = .softmaxCrossEntropy(labelSmoothing: 0.1)
      },
    ]
  }
}
