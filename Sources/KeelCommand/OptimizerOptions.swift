import ArgumentParser
import Keel

/// The options that choose how gradients become steps.
struct OptimizerOptions: ParsableArguments {
  @Option(help: "sgd, adam, adamw or mirror.")
  var optimizer = "adam"

  @Option(parsing: .unconditional, help: "Learning rate. Default: 0.001, for sgd 0.05.")
  var lr: Float?

  @Option(parsing: .unconditional, help: "Momentum of sgd. Default: 0.9.")
  var momentum: Float?

  @Flag(help: "Nesterov's momentum for sgd.")
  var nesterov = false

  @Option(
    parsing: .unconditional,
    help: "Weight decay: added to the gradient, decoupled for adamw.")
  var weightDecay: Float?

  @Option(
    help: ArgumentHelp(
      "The map of mirror: euclidean (plain descent), power:Q, entropy, hypentropy:BETA.",
      valueName: "form"))
  var map: String?

  @Flag(help: "The optimistic form of mirror: 2 g - (the g before) in place of g.")
  var optimistic = false

  func validate() throws {
    guard ["sgd", "adam", "adamw", "mirror"].contains(optimizer) else {
      throw ValidationError(
        "There is no optimizer '\(optimizer)'; there are: sgd, adam, adamw, mirror.")
    }
    guard optimizer == "mirror" || (map == nil && !optimistic) else {
      throw ValidationError("--map and --optimistic belong to --optimizer mirror.")
    }
    guard map == nil || chosenMap != nil else {
      throw ValidationError(
        "--map is euclidean, power:Q, entropy or hypentropy:BETA, got '\(map ?? "")'.")
    }
    guard optimizer == "sgd" || (!nesterov && momentum == nil) else {
      throw ValidationError("--momentum and --nesterov belong to --optimizer sgd.")
    }
    if let lr, !(lr.isFinite && lr > 0) {
      throw ValidationError("--lr must be finite and above 0, got \(lr).")
    }
    do { try chosen.validate() } catch { throw ValidationError("\(error)") }
  }

  /// The optimizer.
  var chosen: Optimizer {
    switch optimizer {
    case "sgd":
      .sgd(
        learningRate: lr ?? 0.05, momentum: momentum ?? 0.9, nesterov: nesterov,
        weightDecay: weightDecay ?? 0)
    case "mirror":
      .mirrorDescent(
        map: chosenMap ?? .euclidean, learningRate: lr ?? 0.05, isOptimistic: optimistic,
        weightDecay: weightDecay ?? 0)
    case "adamw": .adamW(learningRate: lr ?? 1e-3, weightDecay: weightDecay ?? 1e-2)
    default: .adam(learningRate: lr ?? 1e-3, weightDecay: weightDecay ?? 0)
    }
  }

  private var chosenMap: MirrorMap? {
    let parts = (map ?? "").split(separator: ":").map(String.init)
    switch (parts.first, parts.count > 1 ? Float(parts[1]) : nil, parts.count) {
    case ("euclidean", nil, 1): return .euclidean
    case ("entropy", nil, 1): return .entropy
    case ("power", let q?, 2): return .power(q: q)
    case ("hypentropy", let beta?, 2): return .hypentropy(beta: beta)
    default: return nil
    }
  }
}
