import KeelBackend
import KeelReport

/// The page of a study: findings, a table, plots.
package struct StudyPage {
  private let study: any Study
  private let result: StudyResult

  package init(_ study: any Study, _ result: StudyResult) {
    self.study = study
    self.result = result
  }

  /// The file.
  package var html: String {
    var page = Page(title: study.title, subtitle: study.article)
    page.paragraph("The claim: \(study.claim)")
    page.verdict(
      "\(StudyPage.headline(result.supports)) \(result.verdict)", tone(result.supports))
    if !result.details.isEmpty {
      page.table(
        ["part of the claim", "supported", "what was found"],
        result.details.map { [$0.claim, $0.supports.rawValue, $0.sentence] })
    }
    page.heading("What was done")
    page.paragraph(result.method)
    page.paragraph(
      "\(result.data). Seed \(result.seed), device \(result.device)"
        + (result.scale == .quick ? ", the quick form." : "."))
    for section in result.sections {
      section.add(to: &page)
      addGradients(result.variants.filter { $0.group == section.title }, to: &page)
    }
    let told = result.sections.map(\.title)
    for group in groups where !told.contains(group) {
      if !group.isEmpty { page.heading(group) }
      addGroup(group, to: &page)
    }
    if !result.measurements.isEmpty {
      page.heading("Measured against expected")
      page.table(
        ["what", "expected", "measured", "holds"],
        result.measurements.map {
          [$0.what, $0.expected, $0.measured, $0.holds ? "yes" : "no"]
        })
    }
    return page.html
  }

  /// The words before a finding.
  package static func headline(_ support: StudyResult.Support) -> String {
    switch support {
    case .yes: "The numbers support the claim."
    case .no: "The numbers do not support the claim."
    case .partly: "The numbers support the claim in part."
    }
  }

  private func tone(_ support: StudyResult.Support) -> Page.Tone {
    switch support {
    case .yes: .good
    case .no: .bad
    case .partly: .neutral
    }
  }

  /// The names of groups in the order of their first variants.
  private var groups: [String] {
    result.variants.reduce(into: []) { names, variant in
      if !names.contains(variant.group) { names.append(variant.group) }
    }
  }

  private func addGroup(_ group: String, to page: inout Page) {
    let variants = result.variants.filter { $0.group == group }
    page.table(StudyPage.columns, variants.map(StudyPage.row))
    page.figures([
      LineChart("training loss", across: "epoch", curves(variants, \.loss), isLogarithmic: true),
      LineChart(
        "test accuracy", across: "epoch", curves(variants, \.testAccuracy), bounds: 0...1),
    ])
    let engaged = variants.filter { $0.engagementRate > 0 }
    if !engaged.isEmpty {
      page.figures([
        LineChart(
          "part of steps that were clipped", across: "epoch", curves(engaged, \.engagement),
          bounds: 0...1)
      ])
    }
    addGradients(variants, to: &page)
  }

  private func addGradients(_ variants: [StudyVariant], to page: inout Page) {
    let traced = variants.filter { !$0.trace.total.isEmpty }
    if !traced.isEmpty { page.figures([norms(traced)]) }
    for variant in variants where variant.showsGradients && !variant.trace.steps.isEmpty {
      page.figures([gradients(variant)])
    }
  }

  static let columns = [
    "variant", "options", "outcome", ">test accuracy", ">loss", ">first ‖g‖", ">largest ‖g‖",
    ">clipped", ">skipped",
  ]

  static func row(_ variant: StudyVariant) -> [String] {
    [
      variant.name, variant.options, "\(variant.outcome)",
      "\((100 * variant.testAccuracy).fixed(1)) %", variant.finalLoss.compact(),
      variant.firstGradientNorm.compact(), variant.largestGradientNorm.compact(),
      "\((100 * variant.engagementRate).fixed(0)) %", "\(variant.skippedSteps)",
    ]
  }

  /// There are six colours: what comes after is dashed.
  private func curves(
    _ variants: [StudyVariant], _ value: KeyPath<StudyVariant.Point, Double>
  ) -> [LineChart.Series] {
    variants.enumerated().map { place, variant in
      .init(
        variant.name, variant.curve.map { (Double($0.epoch), $0[keyPath: value]) },
        isDashed: place % 12 >= 6, color: place % 6)
    }
  }

  /// The norm of all gradients of each variant, at the steps of the longest training.
  private func norms(_ variants: [StudyVariant]) -> HeatMap {
    let longest = variants.map(\.trace.steps).max { ($0.last ?? 0) < ($1.last ?? 0) } ?? []
    let values = variants.map { variant in
      let trace = variant.trace
      return longest.prefix { $0 <= trace.steps.last ?? 0 }.map { step in
        trace.steps.lastIndex { $0 <= step }.map { trace.total[$0] } ?? 0
      }
    }
    return HeatMap(
      "norm of all gradients", rows: variants.map(\.name), columns: longest.map { "\($0)" },
      values, across: "step", tips: .rows,
      caption: "Before clipping. A row that ends early is of a training that had diverged.")
  }

  private func gradients(_ variant: StudyVariant) -> HeatMap {
    HeatMap(
      "gradient norm of each weight: \(variant.name)", rows: variant.trace.weights,
      columns: variant.trace.steps.map { "\($0)" }, variant.trace.norms, across: "step",
      tips: .rows,
      caption: "\(variant.options); before clipping.")
  }
}
