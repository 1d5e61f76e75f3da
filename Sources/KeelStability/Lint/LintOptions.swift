import KeelBackend
import KeelNN

/// Rules about the optimizer, the schedule and what keeps steps upright.
extension LintSubject {
  func optionRules() -> [Diagnostic] {
    refusedOptions() + clipBeforeUnscale() + float16WithoutScale() + allPositivePerturbation()
  }

  /// What the trainer would refuse.
  private func refusedOptions() -> [Diagnostic] {
    var found: [Diagnostic] = []
    func note(
      _ rule: String, _ place: String, _ fixIt: String,
      _ check: () throws(TensorError) -> Void
    ) {
      do throws(TensorError) { try check() } catch {
        found.append(
          Diagnostic(.error, rule: rule, place: place, message: "\(error)", fixIt: fixIt))
      }
    }
    note("clip-limit", "clip", "give a limit above 0, or leave the stage out") {
      () throws(TensorError) in try stability.clip.validate()
    }
    let hasClip = !found.isEmpty
    if let loss {
      note("loss-option", loss.name, "give a value in the range") { () throws(TensorError) in
        try loss.validate()
      }
    }
    note("schedule-option", "schedule", "use one of the forms of Schedule") {
      () throws(TensorError) in try schedule.validate()
    }
    guard let optimizer else { return found }
    note("optimizer-option", optimizer.name, "give a value in the range") {
      () throws(TensorError) in try optimizer.validate()
    }
    if !hasClip {
      note("stability-option", "stability", "use only one of the two") {
        () throws(TensorError) in try stability.validate(with: optimizer)
      }
    }
    return found
  }

  /// Gradients are clipped after they are divided by the loss scale.
  private func clipBeforeUnscale() -> [Diagnostic] {
    let scale = stability.lossScale
    guard scale > 1 else { return [] }
    return stability.clip.stages.compactMap { stage in
      guard let limit = stage.absoluteLimit, limit >= scale else { return nil }
      return Diagnostic(
        .warning, rule: "clip-before-unscale", place: "clip \(stage.name)",
        message: "the limit \(limit) is not below the loss scale \(scale), as if it were meant for "
          + "gradients that are still scaled; it is compared with unscaled ones and never acts",
        fixIt: "use \(Double(limit / scale).compact())")
    }
  }

  /// Gradients of a mean loss are often below what float16 can hold.
  private func float16WithoutScale() -> [Diagnostic] {
    guard model.precision == .float16, optimizer != nil, stability.lossScale <= 1 else { return [] }
    return [
      Diagnostic(
        .warning, rule: "float16-without-loss-scale", place: "stability",
        message: "float16 has no numbers between 0 and 6e-8: gradients on their way back become 0 "
          + "there, and the weights behind them stop learning",
        fixIt: "use Stability(lossScale: 1024), or precision .bfloat16")
    ]
  }

  /// Noise of one sign makes all weights positive.
  private func allPositivePerturbation() -> [Diagnostic] {
    guard let plan = perturbation, case .fixed(let amplitude, let low, let high) = plan.noise else {
      return []
    }
    let (first, last) = (Double(amplitude * low), Double(amplitude * high))
    guard first * last >= 0, first + last != 0 else { return [] }
    let keep = Double(plan.shrink)
    let mean = abs(first + last) / 2 / (1 - keep)
    let sign = first + last > 0 ? "positive" : "negative"
    let widest = model.parameters.filter { $0.shape.rank >= 2 && $0.decays }.map(\.fanIn).max()
    return [
      Diagnostic(
        .warning, rule: "all-positive-weights", place: "shrink and perturb",
        message:
          "the noise has one sign: all weights become \(sign), \(mean.compact()) on average, "
          + "and the mean activation grows with every layer whose fan-in is above "
          + "\((1 / mean).rounded(.up).fixed(0))"
          + (widest.map { " (the largest here: \($0))" } ?? "")
          + "; each call erases \((100 * (1 - abs(keep))).fixed(0)) % of what was learned",
        fixIt: "use ShrinkAndPerturb.recommended(shrink:every:), whose noise has mean 0")
    ]
  }
}

extension ClipStage {
  /// A limit in the unit of gradients.
  fileprivate var absoluteLimit: Float? {
    switch self {
    case .elementwise(let limit), .perTensorNorm(let limit), .globalNorm(let limit),
      .globalMaxAbs(let limit), .perExample(let limit):
      limit
    case .adaGC(_, _, _, let limit): limit
    case .unitwise, .autoClip, .zClip: nil
    }
  }
}
