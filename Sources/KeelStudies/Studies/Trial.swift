import Glibc
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// How one variant of a study trains.
struct TrialPlan {
  /// What tables and curves call it.
  var name: String
  /// What it is compared with: the title of a section.
  var group: String
  /// The layers.
  var network: Sequential
  /// How gradients become steps.
  var optimizer: Optimizer
  /// What training makes small.
  var loss = Loss.softmaxCrossEntropy()
  /// What keeps the steps upright.
  var stability = Stability()
  /// A ranking term beside the loss.
  var pair: PairTerm?
  /// Passes over the data.
  var epochs: Int
  /// Examples per batch.
  var batchSize = 32
  /// Batches per update.
  var accumulation = 1
  /// Whether the page shows how its gradient norms went, all together and weight by weight.
  var showsGradients = false
  /// What is done to the model before the first step.
  var prepare: (Model) throws -> Void = { _ in }

  /// Trains, and measures on the test part.
  ///
  /// A training that ends since its numbers are not finite is a result as well.
  func run(on data: TrialData) throws -> Trial {
    let model = try Model(
      network, input: data.train.exampleShape, device: data.device, seed: data.seed)
    try prepare(model)
    let trainer = try model.compile(
      optimizer: optimizer, loss: loss, stability: stability, pair: pair)
    // Steps are read at the ends of epochs alone: then nothing depends on the clock.
    trainer.progressInterval = .seconds(1 << 20)
    var divergence: UInt64?
    do {
      try trainer.fit(
        data.train, epochs: epochs, batchSize: batchSize, gradientAccumulation: accumulation,
        seed: data.seed)
    } catch TrainingError.nonFinite(let place) {
      divergence = place.step
    }
    let evaluation = try trainer.evaluate(data.test)
    return Trial(self, trainer, evaluation, stoppedAt: divergence)
  }
}

/// What all variants of a study have in common.
struct TrialData {
  /// To learn from.
  var train: Dataset
  /// To test with.
  var test: Dataset
  /// Where the variants compute.
  var device: Device
  /// The seed of all of them.
  var seed: UInt64

  init(_ setting: StudySetting) {
    (train, test) = (setting.train, setting.test)
    (device, seed) = (setting.device, setting.seed)
  }
}

/// What came of one variant.
struct Trial {
  let name: String
  let trainer: Trainer
  /// As files keep it.
  let variant: StudyVariant
  let losses: [Double]
  let norms: [Double]
  let accuracy: Double
  let testLoss: Double
  /// The first step that was left out, since its numbers were not finite.
  let firstFault: UInt64?
  /// The step at which training gave up.
  let stoppedAt: UInt64?
  /// How often Deadly Flip exchanged units; nil without it.
  let flips: Int?

  init(_ plan: TrialPlan, _ trainer: Trainer, _ test: Evaluation, stoppedAt: UInt64?) {
    let history = trainer.history
    name = plan.name
    self.trainer = trainer
    losses = history.steps.map { Double($0.loss) }
    norms = history.steps.map { Double($0.gradientNorm) }
    accuracy = test.accuracy ?? 0
    testLoss = test.loss.sixDigits
    self.stoppedAt = stoppedAt
    firstFault = history.steps.first { !$0.outcome.changesParameters }?.step
    flips = trainer.updater.techniques.flip?.counters.flips
    var run = StudyRun(
      plan.name, group: plan.group, options: "\(plan.optimizer.name), \(plan.loss.name)",
      network: plan.network, optimizer: plan.optimizer, epochs: plan.epochs)
    run.showsGradients = plan.showsGradients
    var variant = StudyVariant(
      run, history, testAccuracy: test.accuracy ?? 0, failedStep: stoppedAt.map { Int($0) },
      classes: 10)
    // Sections plot the loss step by step: it need not be kept by epochs too.
    variant.curve = []
    if !plan.showsGradients {
      variant.trace = .empty
    }
    self.variant = variant
  }

  /// Whether numbers stopped being finite.
  var exploded: Bool { firstFault != nil || stoppedAt != nil || !testLoss.isFinite }

  /// The standard deviation of the batch losses over the last quarter of the steps.
  var fluctuation: Double { Spread(lastLosses).deviation.sixDigits }

  /// The mean of the batch losses over the last quarter of the steps.
  var lastLoss: Double { Spread(lastLosses).mean.sixDigits }

  private var lastLosses: ArraySlice<Double> { losses.suffix(max(2, losses.count / 4)) }

  /// The largest gradient norm; infinite where one was not finite.
  var largestNorm: Double {
    norms.allSatisfy(\.isFinite) ? norms.max() ?? 0 : .infinity
  }

  /// The loss over the steps, at most `count` points, each the mean of neighbours.
  func lossCurve(_ count: Int = 120) -> [(x: Double, y: Double)] { thinned(losses, count) }

  /// The gradient norm over the steps, as ``lossCurve(_:)``.
  func normCurve(_ count: Int = 120) -> [(x: Double, y: Double)] { thinned(norms, count) }

  private func thinned(_ values: [Double], _ count: Int) -> [(x: Double, y: Double)] {
    let group = max(1, (values.count + count - 1) / count)
    return stride(from: 0, to: values.count, by: group).map { start in
      let part = values[start..<min(start + group, values.count)]
      return (Double(start) + Double(part.count + 1) / 2, Spread(part).mean)
    }
  }

  /// The largest difference of two trials' losses, relative to the larger, over the first steps.
  func lossDifference(from other: Trial, steps: Int = .max) -> Double {
    zip(losses, other.losses).prefix(steps).map { own, its in
      own == its ? 0 : abs(own - its) / max(abs(own), abs(its), 1e-3)
    }.max() ?? 0
  }
}

/// Mean and standard deviation.
struct Spread {
  let mean: Double
  let deviation: Double

  init(_ values: some Collection<Double>) {
    let count = Double(max(values.count, 1))
    let mean = values.reduce(0, +) / count
    self.mean = mean
    deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
  }
}
