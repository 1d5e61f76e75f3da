import Glibc
import KeelBackend
import KeelData
import KeelNN

/// Rules about the size of first values, alone and against the learning rate.
///
/// A linear layer multiplies the mean square of a signal by its gain: fan-in times the mean square
/// of its weights, times what its activation lets through (a half for relu; He et al., 2015).
/// Normalisations, joins, recurrent layers and squashing activations set the signal anew: between
/// them stand the runs of layers that are looked at.
extension LintSubject {
  func gainRules() -> [Diagnostic] {
    guard isFresh else { return [] }
    return layout.chains.flatMap { runs(in: $0) }.compactMap(signalGrowth) + learningRateAndGain()
  }

  /// A linear layer in a run.
  private struct Stage {
    let path: String
    let fanIn: Double
    let gain: Double
    let learningRateScale: Double
  }

  /// The mean square of the signal behind a run may differ from that before by 10^±4.
  private static let largestGrowth = 1e4
  /// How far above the estimate a learning rate may be: that is a trace, and no bound.
  private static let slack = 10.0

  private func runs(in chain: [LintLayout.Link]) -> [[Stage]] {
    var runs: [[Stage]] = [[]]
    for link in chain {
      if let (weight, activation) = link.linear {
        guard let passed = activation.meanSquareFactor else {
          runs.append([])
          continue
        }
        let gain = weight.meanSquareGain * passed
        runs[runs.count - 1].append(
          Stage(
            path: link.path, fanIn: Double(weight.fanIn), gain: gain,
            learningRateScale: weight.isTrainable ? Double(weight.learningRateScale) : 0))
      } else if !link.isTransparent
        || (link.layer as? any PointwiseLayer).map({ $0.activation.meanSquareFactor == nil })
          ?? false
      {
        runs.append([])
      }
    }
    return runs
  }

  private func signalGrowth(_ run: [Stage]) -> Diagnostic? {
    guard run.count > 1, let first = run.first, let last = run.last else { return nil }
    let growth = run.reduce(1) { $0 * $1.gain }
    guard growth > 0, growth > Self.largestGrowth || growth < 1 / Self.largestGrowth else {
      return nil
    }
    let worst = run.max { abs(log($0.gain)) < abs(log($1.gain)) }
    let verb = growth > 1 ? "grow" : "shrink"
    return Diagnostic(
      .warning, rule: "initialisation-gain", place: first.path,
      message: "from here to \(last.path) signals \(verb) \(growth.squareRoot().compact())-fold "
        + "at first"
        + (worst.map { " (the mean square at \($0.path) by \($0.gain.compact()))" } ?? "")
        + ", and gradients with them",
      fixIt: "use .heNormal with relu and .glorotUniform else, normalise, or initializeLSUV(on:)")
  }

  private func learningRateAndGain() -> [Diagnostic] {
    guard let optimizer, let rate = learningRate, rate.isFinite, rate > 0 else { return [] }
    let first = Double(rate) * schedule.factor(at: 0)
    switch optimizer.rule {
    case .adam: return adaptiveRate(first)
    case .sgd(let momentum, _, _): return descentRate(first, momentum: Double(momentum))
    case .mirror(.euclidean, _, _): return descentRate(first, momentum: 0)
    case .mirror: return []
    }
  }

  /// A step of Adam moves each weight by about the learning rate, whatever the gradient.
  private func adaptiveRate(_ rate: Double) -> [Diagnostic] {
    let spreads = model.parameters.compactMap { parameter -> (Parameter, Double)? in
      guard parameter.isFreeWeight, let spread = parameter.place?.firstDeviation, spread > 0 else {
        return nil
      }
      return (parameter, spread / Double(parameter.learningRateScale))
    }
    guard let (parameter, spread) = spreads.min(by: { $0.1 < $1.1 }), rate > spread else {
      return []
    }
    return [
      tooFast(
        rate,
        "each step moves a weight by about as much, but the first values of \(parameter.name) "
          + "spread only by \(spread.compact()): the first step erases them",
        Double(spread) / 10)
    ]
  }

  /// Descent in a direction of curvature c diverges from 2 (1 + momentum) / c on. The curvature of
  /// the run before the loss is at most about the sum over its layers of the mean square of what
  /// the layer reads, times the gains behind it (the trace of the Gauss-Newton matrix).
  private func descentRate(_ rate: Double, momentum: Double) -> [Diagnostic] {
    guard let run = runs(in: layout.chains[0]).last, !run.isEmpty, let loss else { return [] }
    let isWhole = runs(in: layout.chains[0]).count == 1
    var signal = isWhole ? inputMeanSquare : 1
    var curvature = 0.0
    for stage in run {
      curvature = curvature * stage.gain
      curvature += (stage.fanIn * signal + 1) * stage.learningRateScale
      signal *= stage.gain
    }
    curvature *= loss.largestCurvature
    let limit = 2 * (1 + momentum) / curvature
    guard limit.isFinite, rate > Self.slack * limit else { return [] }
    return [
      tooFast(
        rate,
        "descent diverges above about \(limit.compact()) with these first values, whose gains are "
          + run.map { "\($0.path) \($0.gain.compact())" }.joined(separator: ", "),
        limit)
    ]
  }

  private func tooFast(_ rate: Double, _ why: String, _ better: Double) -> Diagnostic {
    Diagnostic(
      .warning, rule: "learning-rate-gain", place: "learning rate",
      message: "\(rate.compact()) is too large for the initialisation: \(why)",
      fixIt: "use about \(better.compact()), a warm-up, or smaller first values")
  }

  /// The mean square of the numbers of some examples.
  private var inputMeanSquare: Double {
    guard let train else { return 1 }
    let places = Array(Int32(0)..<Int32(min(64, train.count)))
    let values = train.gather(places).features.normalized
    let square = values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(1, values.count))
    return square.isFinite && square > 0 ? square : 1
  }
}

extension Parameter {
  /// By how much a linear map of these first values multiplies the mean square of its input. The
  /// mean of the weights adds up: of a half-normal input a part of 1 / pi is its mean's.
  fileprivate var meanSquareGain: Double {
    let spread = place?.firstDeviation ?? 0
    let mean = Double(fanIn) * initializer.expectedMean
    return Double(fanIn) * spread * spread + mean * mean / Double.pi
  }
}

extension Activation {
  /// What is left of the mean square of a signal around 0; nil where the output is bounded.
  fileprivate var meanSquareFactor: Double? {
    switch self {
    case .identity: 1
    case .relu, .elu, .softplus, .gelu, .silu: 0.5
    case .leakyRelu(let slope): (1 + Double(slope) * Double(slope)) / 2
    case .sigmoid, .tanh: nil
    }
  }
}

extension Loss {
  /// The largest second derivative by one output.
  fileprivate var largestCurvature: Double {
    switch self {
    case .softmaxCrossEntropy: 0.5
    case .sigmoidCrossEntropy: 0.25
    case .meanSquaredError: 2
    case .meanAbsoluteError, .huber: 1
    }
  }
}
