import ArgumentParser
import Keel

/// The options that choose how numbers are kept.
struct PrecisionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How activations and working weights are kept: float32, bfloat16 or float16. Arithmetic and "
        + "the weights that the optimizer changes are float32. Default: float32.",
      valueName: "type"))
  var precision = "float32"

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What the loss is multiplied by and gradients are divided by, a power of two. "
        + "Default: 1, with float16 1024.", valueName: "factor"))
  var lossScale: Float?

  func validate() throws {
    guard Precision(rawValue: precision) != nil else {
      let known = Precision.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("There is no precision '\(precision)'; there are: \(known).")
    }
    if let lossScale, !(lossScale > 0 && lossScale.isFinite && lossScale.significand == 1) {
      throw ValidationError("--loss-scale must be a power of two, got \(lossScale).")
    }
  }

  /// The precision.
  var chosen: Precision { Precision(rawValue: precision) ?? .float32 }

  /// The loss scale.
  var chosenLossScale: Float { lossScale ?? (chosen == .float16 ? 1024 : 1) }
}
