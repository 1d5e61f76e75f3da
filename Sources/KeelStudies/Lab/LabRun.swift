import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import KeelTraining

/// One training: a catastrophe with a defence, step by step. Every step is read.
final class LabRun {
  private let catastrophe: Catastrophe
  private let defence: Defence
  private let experiment: Experiment
  private let updater: Updater
  private let perExample: PerExampleClip?
  private let rewinder: Rewinder?
  /// Where the training was when the rewinder's copy was made.
  private var keptPosition = 0
  /// Positions that are left out, since going back found them to be bad.
  private var excluded: Set<Int> = []
  private var rewinds = 0

  private var position = 0
  private var crossedAt: Int?
  private var stoppedAt: Int?
  private var largestNorm = 0.0
  private(set) var claims: [LabClaim] = []

  /// Sets the experiment up with the defence.
  init(
    _ catastrophe: Catastrophe, _ defence: Defence, _ setting: LabSetting
  ) throws(TensorError) {
    self.catastrophe = catastrophe
    self.defence = defence
    var setting = setting
    if case .normalization(let kind) = defence.measure { setting.normalization = kind }
    if case .forgetBias(let bias) = defence.measure { setting.forgetBias = bias }
    var experiment = try catastrophe.make(setting)
    if case .stableSoftmax = defence.measure { experiment.loss = LabRun.stableSoftmax }
    let (stability, schedule) = try LabRun.prepare(&experiment, defence)
    updater = try Updater(
      experiment.optimizer, for: experiment.model, schedule: schedule, stability: stability)
    let model = experiment.model
    self.experiment = experiment
    perExample = try stability.clip.perExampleLimit.map { (limit) throws(TensorError) in
      try PerExampleClip(limit, model: model)
    }
    rewinder = stability.onFault == .rewind ? try Rewinder(updater) : nil
    try rewinder?.keep()
  }

  private static func stableSoftmax(
    _ output: Tensor, _ target: Tensor, _ factor: Float
  ) throws(TensorError) -> Tensor {
    try -(output.logSoftmax() * target).sum(axes: [1]).mean() * factor
  }

  /// Acts on the weights and the optimizer before the first step.
  private static func prepare(
    _ experiment: inout Experiment, _ defence: Defence
  ) throws(TensorError) -> (Stability, Schedule) {
    let model = experiment.model
    let first = experiment.batches[0]
    var stability = Stability(onFault: .raise)
    var schedule = Schedule.constant
    switch defence.measure {
    case .stability(let chosen): stability = chosen
    case .schedule(let make): schedule = make(experiment.steps)
    case .mirror(let map):
      experiment.optimizer = .mirrorDescent(
        map: map, learningRate: experiment.optimizer.learningRate)
    case .initializer(let initializer): try model.initialize(initializer)
    case .lsuv: try model.initializeLSUV(on: first.input)
    case .shrinkAndPerturb:
      try ShrinkAndPerturb.recommended(shrink: 0.5).initialize(model, times: 20)
    case .periodicShrink(let factor, let period):
      stability.shrink = try .recommended(shrink: factor, every: period)
    case .equity:
      let loss = experiment.loss
      try EquityTransform().prepare(model) { (pass) throws(TensorError) in
        try loss(model(first.input, pass), first.target, 1)
      }
      stability.equity = PeriodicEquity(try EquityTransform(), ifImbalanceAbove: 32, every: 1)
    case .flip(let mode): stability.flip = try DeadlyFlip(mode, period: 1, cooldown: 1)
    case .normalization, .forgetBias, .stableSoftmax: break
    }
    return (stability, schedule)
  }

  /// Trains to the end.
  func run() throws(TensorError) -> LabCell {
    while position < experiment.steps, stoppedAt == nil {
      position += 1
      if excluded.contains(position) { continue }
      try step(experiment.batches[(position - 1) % experiment.batches.count])
    }
    let final = try finalLoss()
    var cell = LabCell(
      catastrophe: catastrophe.name, defence: defence.name, verdict: verdict(final))
    cell.finalLoss = final
    cell.largestNorm = largestNorm
    switch cell.verdict {
    case .diverged: cell.failedAt = crossedAt ?? stoppedAt ?? experiment.steps
    case .stopped: cell.failedAt = stoppedAt
    case .survived, .stalled, .notApplicable: break
    }
    if case .diverged = cell.verdict { claimFailure(at: cell.failedAt ?? 0) }
    return cell
  }

  private func verdict(_ final: Double) -> LabVerdict {
    if stoppedAt != nil {
      switch updater.stability.onFault {
      // Without a policy this is how an explosion ends.
      case .raise: return .diverged
      case .skipStep, .zero, .clipFinite, .rewind: return .stopped
      }
    }
    if final <= experiment.goal { return .survived }
    return crossedAt == nil && final <= experiment.bound ? .stalled : .diverged
  }

  private func step(_ batch: LabBatch) throws(TensorError) {
    let scale = updater.stability.lossScale
    let loss = try gradient(batch, scale)
    try updater.update(loss: loss)
    let value = Double(try loss.item()) / Double(scale)
    let report = try updater.report()
    if position == 1 { try claimFirst(report) }
    largestNorm = report.norm.isFinite ? max(largestNorm, Double(report.norm)) : .infinity
    if crossedAt == nil, !batch.isBad, !(value <= experiment.bound) { crossedAt = position }
    try review(report)
  }

  /// Does what the policy says about the step just taken.
  private func review(_ report: StepReport) throws(TensorError) {
    guard let rewinder else {
      if case .skipped = report.outcome, try updater.isHalted() { stoppedAt = position }
      return
    }
    guard rewinder.fault(report.outcome, norm: report.norm) != nil else {
      guard rewinder.isDue else { return }
      try rewinder.keep()
      keptPosition = position
      return
    }
    guard rewinds < rewinder.plan.maximum else {
      stoppedAt = position
      return
    }
    rewinds += 1
    if case .skipBatch = rewinder.plan.response { excluded.insert(position) }
    try rewinder.goBack()
    position = keptPosition
  }

  private func gradient(_ batch: LabBatch, _ scale: Float) throws(TensorError) -> Tensor {
    let (model, loss) = (experiment.model, experiment.loss)
    let number = UInt64(position)
    guard let perExample else {
      return try model.valueAndGradient(step: number, weight: 1, accumulates: false) {
        (pass) throws(TensorError) in try loss(model(batch.input, pass), batch.target, scale)
      }
    }
    return try perExample.compute(batch.input, batch.target, weight: 1, accumulates: false) {
      (input, target, _) throws(TensorError) in
      let value = try model.valueAndGradient(step: number, weight: 1, accumulates: false) {
        (pass) throws(TensorError) in try loss(model(input, pass), target, scale)
      }
      return (value, nil)
    }.loss
  }

  /// The loss of the first batch with the weights as they are now.
  private func finalLoss() throws(TensorError) -> Double {
    let batch = experiment.batches[0]
    let pass = experiment.model.trainingPass(step: 1 << 40)
    let scale = updater.stability.lossScale
    let output = try experiment.model(batch.input, pass)
    let loss = try experiment.loss(output, batch.target, scale).detached()
    return Double(try loss.item()) / Double(scale)
  }

  private func claimFirst(_ report: StepReport) throws(TensorError) {
    guard defence.name == Defence.none.name else { return }
    for case .first(let quantity, let predicted, let tolerance, let formula, let measure)
      in experiment.theory
    {
      claims.append(
        LabClaim(
          catastrophe: catastrophe.name, quantity: quantity, formula: formula,
          predicted: predicted, measured: try measure(experiment.model, report),
          tolerance: tolerance))
    }
  }

  private func claimFailure(at step: Int) {
    guard defence.name == Defence.none.name else { return }
    for case .failsAt(let predicted, let formula) in experiment.theory {
      claims.append(
        LabClaim(
          catastrophe: catastrophe.name, quantity: "step of failure", formula: formula,
          predicted: Double(predicted), measured: Double(step), tolerance: 0))
    }
  }
}
