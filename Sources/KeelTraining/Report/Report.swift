import KeelBackend
import KeelReport
import KeelStability

/// The page of a run: loss, accuracy, gradient norms, what was clipped and left out, and with which
/// options and on which device: one HTML file without scripts.
public struct Report {
  private let history: History
  private let run: RunDescription?

  /// The page of a history, with what is known of its run.
  public init(_ history: History, of run: RunDescription? = nil) {
    self.history = history
    self.run = run
  }

  /// The file.
  public var html: String {
    var page = Page(title: "Training", subtitle: headline)
    for fault in history.faults.filter({ $0.response == .stopped }) {
      page.verdict("\(fault.reason): the training ended at step \(fault.step)", .bad)
    }
    page.figures(figures)
    page.figures(gradientFigures)
    page.heading("Steps")
    page.table(["outcome", ">steps", ">part"], outcomes)
    if !history.faults.isEmpty {
      page.heading("What went wrong")
      for fault in history.faults.prefix(20) { page.lines("\(fault)") }
      if history.faults.count > 20 {
        page.paragraph("and \(history.faults.count - 20) more: see history.json")
      }
    }
    if let run {
      page.heading("The run")
      page.table(["what", "value"], run.rows)
    }
    return page.html
  }

  /// Loss and accuracy over the epochs.
  private var figures: [any Figure] {
    [
      LineChart("loss", across: "epoch", lossCurves, bounds: 0...Double.greatestFiniteMagnitude),
      LineChart("accuracy", across: "epoch", accuracyCurves, bounds: 0...1),
    ]
  }

  private var gradientFigures: [any Figure] {
    let trace = history.gradients
    let bad = history.steps.filter { !$0.outcome.changesParameters }.map { Double($0.step) }
    return [
      LineChart(
        "gradient norm", across: "step",
        [
          .init("before clipping", perStep { Double($0.gradientNorm) }, color: 0),
          .init("after", perStep { Double($0.clippedNorm) }, isDashed: true, color: 1),
        ], isLogarithmic: true, marks: Array(bad.prefix(50)),
        caption: "Steps that were left out are marked."),
      LineChart(
        "clipped", across: "epoch",
        [.init("part of steps", epochs { $0.clippedFraction })], bounds: 0...1,
        caption: "How often a clip stage changed the gradients."),
      LineChart(
        "learning rate", across: "step",
        [.init("", perStep { Double($0.learningRate) })], isLogarithmic: true),
      HeatMap(
        "gradient norm of each parameter", rows: trace.parameters,
        columns: trace.steps.map { "\($0)" },
        trace.parameters.indices.map { row in trace.norms.map { Double($0[row]) } },
        across: "step",
        caption: "Where gradients vanish, explode or stop being numbers: one row a parameter."),
    ]
  }

  /// How many steps ended how.
  private var outcomes: [[String]] {
    var counts: [(name: String, count: Int)] = []
    for step in history.steps {
      let name =
        switch step.outcome {
        case .applied: "applied"
        case .clipped: "clipped"
        case .repaired: "repaired"
        case .skipped: "left out"
        case .rewound: "gone back from"
        }
      if let place = counts.firstIndex(where: { $0.name == name }) {
        counts[place].count += 1
      } else {
        counts.append((name, 1))
      }
    }
    let rewinds = history.faults.count { $0.response != .skipped && $0.response != .stopped }
    if rewinds > 0 { counts.append(("gone back from", rewinds)) }
    return counts.map {
      [
        $0.name, "\($0.count)",
        (100 * Double($0.count) / Double(max(1, history.steps.count))).fixed(1) + " %",
      ]
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
    guard let last = history.epochs.last else { return "\(history.steps.count) steps" }
    var text = "\(last.epoch) epochs, \(last.step) steps: loss \(last.loss.fixed(4))"
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
    let end = history.epochs.last.map { Double($0.epoch) } ?? Double(last.epoch)
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
