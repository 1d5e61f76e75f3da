import ArgumentParser
import Keel

/// The options that act on parameters between steps, and the pair term.
struct TechniqueOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Exchanges a volatile unit with a calm one (Deadly Flip): permutation, stateSwap or incoming, \
      with a colon and the period in steps if it is not 10.
      """, valueName: "mode"))
  var flip: String?

  @Option(
    help: ArgumentHelp(
      """
      Balances the layers without changing the function (equity transform): gradients or weights, \
      with a colon and the period in steps if it is not 100.
      """, valueName: "choice"))
  var equity: String?

  @Option(
    help: ArgumentHelp(
      """
      Shrinks and perturbs the weights: recommended:LAMBDA:PERIOD or article:LAMBDA:PERIOD (the \
      second makes all weights positive).
      """, valueName: "form"))
  var shrink: String?

  @Option(
    parsing: .unconditional,
    help: "Weight of a ranking term on a random pair of examples per step (pair-sampling descent).")
  var pairWeight: Float?

  @Option(parsing: .unconditional, help: "The class whose examples the pairs rank first.")
  var pairLabel: Int?

  func validate() throws {
    do {
      var stability = Stability()
      try add(to: &stability)
    } catch let error as ValidationError {
      throw error
    } catch { throw ValidationError("\(error)") }
    guard pairLabel == nil || pairWeight != nil else {
      throw ValidationError("--pair-label belongs to --pair-weight.")
    }
    if let weight = pairWeight, !(weight.isFinite && weight >= 0) {
      throw ValidationError("--pair-weight must be finite and at least 0, got \(weight).")
    }
  }

  /// The pair term.
  var pair: PairTerm? { pairWeight.map { PairTerm(label: pairLabel, weight: $0) } }

  /// Adds the techniques to the options of the step.
  func add(to stability: inout Stability) throws {
    if let flip {
      let (name, period) = try divided(flip, usual: 10, "--flip")
      guard let mode = DeadlyFlip.Mode.allCases.first(where: { "\($0)" == name }) else {
        throw ValidationError(
          "--flip is \(DeadlyFlip.Mode.allCases.map { "\($0)" }.joined(separator: ", ")), "
            + "got '\(flip)'.")
      }
      stability.flip = try DeadlyFlip(mode, period: period)
    }
    if let equity {
      let (name, period) = try divided(equity, usual: 100, "--equity")
      guard let choice = EquityTransform.Choice(rawValue: name) else {
        throw ValidationError("--equity is gradients or weights, got '\(equity)'.")
      }
      stability.equity = PeriodicEquity(try EquityTransform(choice), every: period)
    }
    if let shrink {
      let parts = shrink.split(separator: ":").map(String.init)
      guard parts.count == 3, let lambda = Float(parts[1]), let period = Int(parts[2]),
        ["recommended", "article"].contains(parts[0])
      else {
        throw ValidationError(
          "--shrink is recommended:LAMBDA:PERIOD or article:LAMBDA:PERIOD, got '\(shrink)'.")
      }
      stability.shrink =
        parts[0] == "article"
        ? try .article(learningRate: lambda, every: period)
        : try .recommended(shrink: lambda, every: period)
    }
  }

  private func divided(
    _ text: String, usual: Int, _ option: String
  ) throws -> (name: String, number: Int) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, let number = parts.count == 2 ? Int(parts[1]) : usual, number >= 1
    else {
      throw ValidationError("\(option) takes a period of at least 1 step, got '\(text)'.")
    }
    return (parts[0], number)
  }
}
