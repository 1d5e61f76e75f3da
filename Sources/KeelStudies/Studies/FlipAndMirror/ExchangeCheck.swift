import KeelData
import KeelTraining
import KeelNN
import KeelStability

/// What one exchange of two units of a trained network does to a fixed batch.
struct ExchangeCheck {
  let mode: DeadlyFlip.Mode
  let lossBefore: Double
  let lossAfter: Double
  let normBefore: Double
  let normAfter: Double

  /// The change of the loss, relative.
  var lossChange: Double { abs(lossAfter - lossBefore) / max(abs(lossBefore), 1e-12) }
  /// The change of the gradient norm, relative.
  var normChange: Double { abs(normAfter - normBefore) / max(normBefore, 1e-12) }

  /// Exchanges the first two units of the first hidden layer, and puts the weights back.
  init(_ mode: DeadlyFlip.Mode, of model: Model, _ batch: TrialBatch) throws {
    self.mode = mode
    let saved = try model.parameters.map { try model.weights(named: $0.name) }
    lossBefore = try batch.backward(model, .sigmoidCrossEntropy)
    normBefore = try model.gradientNorm()
    try DeadlyFlip(mode).exchange(0, 1, in: "dense1", of: model)
    lossAfter = try batch.backward(model, .sigmoidCrossEntropy)
    normAfter = try model.gradientNorm()
    for (parameter, values) in zip(model.parameters, saved) {
      try model.setWeights(values, named: parameter.name)
    }
  }
}

/// How much larger the variances are that batch normalisation saw in training than those without
/// dropout, which it meets in use: the mean over all channels of running / calibrated variance
/// (Li et al., 2019).
struct VarianceShift {
  let ratio: Double
  /// The test loss with the statistics of training, and with those of a calibration.
  let testLoss: Double
  let calibratedTestLoss: Double

  init(_ trial: Trial, _ data: TrialData) throws {
    let (trainer, model) = (trial.trainer, trial.trainer.model)
    let names = model.states.map(\.name).filter { $0.hasSuffix("running_variance") }
    var seen: [Float] = []
    for name in names { seen += try model.weights(named: name) }
    testLoss = trial.testLoss
    let count = min(data.train.count, 1024)
    let batches = try stride(from: 0, to: count - 255, by: 256).map {
      try TrialBatch(data.train, $0..<($0 + 256), on: data.device).inputs
    }
    try model.calibrateBatchNorm(batches)
    var met: [Float] = []
    for name in names { met += try model.weights(named: name) }
    calibratedTestLoss = try trainer.evaluate(data.test).loss
    // A unit that is always 0 has no variance at all.
    let ratios = zip(seen, met).filter { $0.1 > 1e-6 }.map { Double($0.0) / Double($0.1) }
    ratio = Spread(ratios).mean
  }
}

/// Why a study could not be made.
enum StudyFault: Error, CustomStringConvertible {
  case missing(String)

  var description: String {
    switch self {
    case .missing(let what): "the study needs \(what), and there is none"
    }
  }
}
