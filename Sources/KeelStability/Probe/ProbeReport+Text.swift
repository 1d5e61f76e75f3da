import KeelBackend

extension ProbeReport: CustomStringConvertible {
  /// A table of the layers, and a line for each finding.
  public var description: String {
    var table = TextTable(
      "layer", "kind", ">mean", ">variance", ">linear part", ">gradient", ">gain", "")
    for row in layerRows { table.add(row) }
    let lines = findings.map { "\($0.name): \($0.text)" }
    return ([table.render(), ""] + lines).joined(separator: "\n")
  }

  /// The cells of each layer: path, kind, mean and variance of its outputs, variance of its linear
  /// part, norm of the gradient at its inputs, backward gain, verdict.
  package var layerRows: [[String]] {
    layers.map { layer in
      let indent = String(repeating: "  ", count: layer.depth)
      return [
        indent + layer.path, layer.kind, text(layer.mean), text(layer.variance),
        layer.linearVariance.map { $0.compact() } ?? "", text(layer.inputGradient),
        text(layer.gain), layer.verdict == .ok ? "" : layer.verdict.rawValue,
      ]
    }
  }

  private func text(_ number: Double?) -> String { number.map { $0.compact() } ?? "-" }

  /// One finding in words.
  package struct Finding {
    package var name: String
    package var text: String
    /// Nil where it is neither.
    package var isGood: Bool?
  }

  /// What was found, one after the other.
  package var findings: [Finding] {
    var list = [
      Finding(
        name: "loss",
        text: (loss.map { $0.compact() } ?? "not finite")
          + ", the mean over \(examples) examples in \(batches) batches",
        isGood: loss == nil ? false : nil),
      Finding(name: "values", text: forwardSentence, isGood: isGood(forward)),
      Finding(name: "gradients", text: backwardSentence, isGood: isGood(backward)),
      Finding(name: "clip threshold", text: clipSentence, isGood: nil),
    ]
    if let curvature {
      list.append(
        Finding(
          name: "learning rate", text: curvature.sentence,
          isGood: curvature.safeLearningRate == nil ? false : nil))
    }
    if let width {
      list.append(Finding(name: "width", text: width.sentence, isGood: nil))
    }
    return list
  }

  private func isGood(_ verdict: Verdict) -> Bool? {
    verdict == .ok ? true : verdict == .constant ? nil : false
  }

  private var forwardSentence: String {
    let place = forwardLayer ?? "the network"
    let variance = layers.first { $0.path == forwardLayer }.flatMap {
      $0.linearVariance ?? $0.variance
    }
    let got = text(variance)
    switch forward {
    case .ok: return "ok; furthest from a variance of 1 is \(place) with \(got)"
    case .constant:
      return "the output of \(place) is the same for all examples: meant where weights start at 0"
    case .vanishes:
      return "vanish: the variance is \(got) at \(place); initialise with LSUV or he-normal"
    case .explodes:
      return "explode: the variance is \(got) at \(place); initialise with LSUV, or normalise"
    case .notFinite: return "not finite, first at \(place)"
    }
  }

  private var backwardSentence: String {
    let place = backwardLayer ?? "the outputs"
    let layer = layers.first { $0.path == backwardLayer }
    var ratio = "-"
    if let gradient = layer?.inputGradient, let start = network?.outputGradient, start > 0 {
      ratio = (gradient / start).compact()
    }
    switch backward {
    case .ok: return "ok; a gain of \(text(network?.gain)) from the outputs to the inputs"
    case .constant: return "the loss does not depend on the outputs"
    case .vanishes:
      return "vanish: at the input of \(place) they are \(ratio) times those of the outputs"
    case .explodes:
      return "explode: at the input of \(place) they are \(ratio) times those of the outputs"
    case .notFinite: return "not finite, first at \(place) on the way back"
    }
  }

  private var clipSentence: String {
    guard let clip = gradients.suggestedClip else { return "none: no gradient is finite" }
    return "global norm \(clip.compact()), the 90th percentile of the batches; "
      + "median \(text(gradients.median)), largest \(text(gradients.largest))"
  }
}

extension ProbeReport.Curvature {
  fileprivate var sentence: String {
    guard let largestEigenvalue else { return "unknown: \(remark ?? "not measured")" }
    var sentence: String
    if let safeLearningRate {
      sentence =
        "below \(safeLearningRate.compact()) for plain gradient descent: "
        + "2 over the largest curvature \(largestEigenvalue.compact())"
    } else {
      sentence = "no bound: the largest curvature is \(largestEigenvalue.compact())"
    }
    if let remark { sentence += " (\(remark))" }
    return sentence
  }
}

extension ProbeReport.Width {
  fileprivate var sentence: String {
    let tried = widths.map(String.init).joined(separator: ", ")
    guard let worst, let slope = slopes[worst] else {
      return "outputs of widths \(tried) cannot be compared"
    }
    let finding =
      isFlat
      ? "activations hardly depend on the width" : "activations move with the width"
    return "\(finding): \(layers[worst]) by width^\(slope.fixed(2)) after 4 steps of Adam at "
      + "\(tried)" + (isFlat ? "" : "; muP keeps the best learning rate")
  }
}
