import KeelBackend
import KeelReport
public import KeelStability

extension ProbeReport {
  /// The report as a page: one HTML file without scripts.
  ///
  /// - Parameter subject: what was probed, such as a model and its data.
  public func html(subject: String) -> String {
    var page = Page(title: "Probe", subtitle: subject)
    for finding in findings {
      page.verdict(
        "\(finding.name): \(finding.text)",
        finding.isGood.map { $0 ? .good : .bad } ?? .neutral)
    }
    page.figures(figures)
    page.heading("Layers")
    page.table(
      ["layer", "kind", ">mean", ">variance", ">linear part", ">gradient", ">gain", "verdict"],
      layerRows)
    page.paragraph(
      "Mean and variance are of all elements of a layer's outputs, that of its linear part before "
        + "the activation. The gradient is the norm at its inputs; the gain is that over the norm "
        + "at its outputs. Nothing was changed by this run.")
    return page.html
  }

  private var figures: [any Figure] {
    func points(_ value: (Layer) -> Double?) -> [(x: Double, y: Double)] {
      layers.enumerated().compactMap { place, layer in
        value(layer).map { (Double(place + 1), $0) }
      }
    }
    return [
      LineChart(
        "variance of values", across: "layer",
        [
          .init("outputs", points(\.variance), color: 0),
          .init("linear parts", points(\.linearVariance), isDashed: true, color: 1),
        ], isLogarithmic: true, caption: "From the input to the output; 1 is ideal."),
      LineChart(
        "gradient norm at the inputs", across: "layer",
        [.init("", points(\.inputGradient), color: 0)], isLogarithmic: true,
        caption: "Gradients flow from right to left."),
      LineChart(
        "gradient norm of each batch", across: "batch",
        [
          .init(
            "",
            gradients.batches.enumerated().compactMap { place, norm in
              norm.map { (Double(place + 1), $0) }
            }, color: 0)
        ], caption: "What a clip threshold is chosen from."),
      HeatMap(
        "layers", rows: layers.map(\.path), columns: ["variance", "gain"],
        layers.map { [$0.variance ?? .nan, $0.gain ?? .nan] },
        texts: layers.map {
          [$0.variance?.compact() ?? "-", $0.gain?.compact() ?? "-"]
        }),
    ]
  }
}
