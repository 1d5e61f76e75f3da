import KeelBackend
import KeelNN
import KeelReport
import KeelStability

/// The page of a run: loss, accuracy, gradient norms, what was clipped and left out and why, and
/// with which options, on which device and by which program: one HTML file without scripts.
public struct Report {
  private let history: History
  private let run: RunDescription?
  private let evidence: RunEvidence?

  /// The page of a history, with what is known of its run.
  public init(_ history: History, of run: RunDescription? = nil) {
    self.history = history
    self.run = run
    evidence = nil
  }

  /// The page of a run of which files are left, however it ended.
  public init(_ evidence: RunEvidence) {
    history = evidence.history
    run = evidence.description
    self.evidence = evidence
  }

  /// The file.
  public var html: String {
    var page = Page(
      title: run?.model.map { "Training of \($0.name)" } ?? "Training", subtitle: headline)
    endings(&page)
    page.figures(figures + gradientFigures)
    page.heading("Steps")
    page.table(
      ["outcome", ">steps", ">part"],
      history.outcomeCounts.map { [$0.name, "\($0.count)", Report.percent($0.part)] })
    if history.engagement > 0 {
      page.paragraph("Clipping changed \(Report.percent(history.engagement)) of the steps taken.")
    }
    faults(&page)
    lastSteps(&page)
    if let run {
      page.heading("The run")
      page.table(["what", "value"], run.rows)
      page.heading("Device and program")
      page.table(["what", "value"], run.machineRows)
    }
    return page.html
  }

  /// How it ended, unless all is well.
  private func endings(_ page: inout Page) {
    for fault in history.faults.filter({ $0.response == .stopped }) {
      page.verdict("\(fault.reason): the training ended at step \(fault.step)", .bad)
    }
    guard let evidence else { return }
    switch evidence.flight?.state {
    case .running: page.verdict("This run was \(evidence.ending).", .neutral)
    case .failed(let sentence) where !history.faults.contains { $0.response == .stopped }:
      page.verdict(sentence, .bad)
    default: break
    }
    for problem in evidence.problems { page.verdict(problem, .bad) }
  }

  private func faults(_ page: inout Page) {
    guard !history.faults.isEmpty else { return }
    page.heading("What went wrong")
    page.table(FaultRecord.columns, history.faults.prefix(20).map(\.row))
    if history.faults.count > 20 {
      page.paragraph("and \(history.faults.count - 20) more: see history.json")
    }
    for fault in history.faults {
      guard let cause = fault.cause else { continue }
      page.paragraph("Where step \(fault.step) left the finite numbers:")
      page.lines("\(cause)")
    }
  }

  /// The end of the flight record.
  private func lastSteps(_ page: inout Page) {
    guard let steps = evidence?.flight?.steps, !steps.isEmpty else { return }
    page.heading("The last steps")
    page.table(
      [
        ">step", ">epoch", ">batch", ">loss", ">gradient norm", ">after clipping", ">largest",
        ">learning rate", "outcome",
      ],
      steps.suffix(12).map { step in
        [
          "\(step.step)", "\(step.epoch)",
          step.batches.map { "\($0 + 1)" }.joined(separator: " "),
        ]
          + [
            step.loss, step.gradientNorm, step.clippedNorm, step.largestGradient, step.learningRate,
          ].map { Double($0).compact() } + ["\(step.outcome)"]
      })
    page.paragraph("flight.json holds \(steps.count), with the norm of each parameter's gradient.")
  }

  private static func percent(_ part: Double) -> String { (100 * part).fixed(1) + " %" }

  /// Loss and accuracy over the epochs.
  private var figures: [any Figure] {
    let losses = history.steps.map(\.loss).filter { $0.isFinite && $0 > 0 }
    // A loss that ran away would press all others to the floor.
    let isWide = (losses.max() ?? 1) > 100 * (losses.first ?? 1)
    return [
      LineChart(
        "loss", across: "epoch", lossCurves, bounds: 0...Double.greatestFiniteMagnitude,
        isLogarithmic: isWide),
      LineChart("accuracy", across: "epoch", accuracyCurves, bounds: 0...1),
    ]
  }

  private var gradientFigures: [any Figure] {
    let bad = history.steps.filter { !$0.outcome.changesParameters }.map { Double($0.step) }
    return [
      LineChart(
        "gradient norm", across: "step",
        [
          .init("before clipping", perStep { Double($0.gradientNorm) }, color: 0),
          .init("after", perStep { Double($0.clippedNorm) }, isDashed: true, color: 1),
        ], isLogarithmic: true, marks: Array(bad.prefix(50)),
        caption: bad.isEmpty ? "" : "Lines from top to bottom: steps that were left out."),
      LineChart(
        "part of steps that were clipped", across: "step",
        [.init("", engagementCurve)], bounds: 0...1, includes: [0, 1],
        caption: "How often clipping changed the gradients, in groups of steps."),
      LineChart(
        "learning rate", across: "step",
        [.init("", perStep { Double($0.learningRate) })], isLogarithmic: true),
      LineChart(
        "largest gradient", across: "step",
        [.init("", perStep { Double($0.largestGradient) })], isLogarithmic: true,
        caption: "The largest magnitude of all gradients, before clipping."),
      heatMap,
    ]
  }

  /// The norm of each parameter's gradient, in at most 120 columns: of neighbours the largest.
  private var heatMap: HeatMap {
    let trace = history.gradients
    let group = max(1, (trace.steps.count + 119) / 120)
    let starts = Array(stride(from: 0, to: trace.steps.count, by: group))
    let values = trace.parameters.indices.map { row in
      starts.map { start in
        let part = trace.norms[start..<min(start + group, trace.norms.count)].map { $0[row] }
        return Double(part.first { !$0.isFinite } ?? part.max() ?? 0)
      }
    }
    return HeatMap(
      "gradient norm of each parameter", rows: trace.parameters,
      columns: starts.map { "\(trace.steps[$0])" }, values, across: "step",
      caption: "Where gradients vanish, explode or stop being numbers: one row a parameter.")
  }

  /// At most 40 points, each the part of its steps that were clipped.
  private var engagementCurve: [(x: Double, y: Double)] {
    let taken = history.steps.filter(\.outcome.changesParameters)
    let group = max(1, (taken.count + 39) / 40)
    return stride(from: 0, to: taken.count, by: group).map { start in
      let part = taken[start..<min(start + group, taken.count)]
      let clipped = part.count { $0.clipCoefficient < 1 }
      return (Double(part[part.startIndex].step), Double(clipped) / Double(part.count))
    }
  }

  /// At most 400 steps, evenly spaced, and every one that was left out.
  private func perStep(_ value: (StepRecord) -> Double) -> [(x: Double, y: Double)] {
    let group = max(1, (history.steps.count + 399) / 400)
    return history.steps.enumerated().filter { place, step in
      place % group == 0 || !step.outcome.changesParameters
    }.map { (Double($0.element.step), value($0.element)) }
  }

  private var headline: String {
    guard let last = history.epochs.last else {
      return "\(history.steps.count) steps, no epoch was completed"
    }
    var text =
      "\(last.epoch) epoch\(last.epoch == 1 ? "" : "s"), \(last.step) steps: "
      + "loss \(last.loss.fixed(4))"
    if let accuracy = last.accuracy { text += ", accuracy \((100 * accuracy).fixed(2)) %" }
    if let loss = last.validationLoss { text += "; validation loss \(loss.fixed(4))" }
    if let accuracy = last.validationAccuracy {
      text += ", accuracy \((100 * accuracy).fixed(2)) %"
    }
    return text
  }

  private var lossCurves: [LineChart.Series] {
    [
      .init("each step", steps { Double($0.loss) }, isFaint: true, color: 0),
      .init("training", epochs(\.loss), color: 0),
      .init("validation", epochs(\.validationLoss), isDashed: true, color: 1),
    ]
  }

  private var accuracyCurves: [LineChart.Series] {
    [
      .init("each step", steps { Double($0.accuracy ?? .nan) }, isFaint: true, color: 0),
      .init("training", epochs(\.accuracy), color: 0),
      .init("validation", epochs(\.validationAccuracy), isDashed: true, color: 1),
    ]
  }

  private func epochs(_ value: (EpochRecord) -> Double?) -> [(x: Double, y: Double)] {
    history.epochs.compactMap { epoch in value(epoch).map { (Double(epoch.epoch), $0) } }
  }

  /// At most 400 points, each the mean of neighbours, at the place in the epoch they belong to.
  private func steps(_ value: (StepRecord) -> Double) -> [(x: Double, y: Double)] {
    let steps = history.steps
    guard let first = steps.first, let last = steps.last, steps.count > 1 else { return [] }
    let end = Double(max(history.epochs.last?.epoch ?? 0, last.epoch))
    let start = Double(first.epoch - 1)
    let group = (steps.count + 399) / 400
    return stride(from: 0, to: steps.count, by: group).map { begin in
      let part = steps[begin..<min(begin + group, steps.count)]
      let mean = part.reduce(0) { $0 + value($1) } / Double(part.count)
      let middle = (Double(begin) + Double(part.count) / 2) / Double(steps.count)
      return (start + (end - start) * middle, mean)
    }
  }
}
