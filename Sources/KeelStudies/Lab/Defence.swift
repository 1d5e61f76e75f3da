import KeelBackend
import KeelNN
import KeelStability

/// Something that is said to keep training from exploding, with the numbers that are usual for it:
/// none is tuned to a catastrophe.
package struct Defence: Sendable {
  enum Measure: Sendable {
    case stability(Stability)
    case schedule(@Sendable (_ steps: Int) -> Schedule)
    case mirror(MirrorMap)
    case initializer(Initializer)
    case lsuv
    case normalization(LabSetting.Normalization)
    case equity
    case flip(DeadlyFlip.Mode)
    case shrinkAndPerturb
    case periodicShrink(Float, every: Int)
    case forgetBias(Float)
    case stableSoftmax
  }

  /// What users call it.
  package let name: String
  /// What it does, with its numbers.
  package let summary: String
  let measure: Measure
  /// Whether the quick form tries it on catastrophes of many launches.
  var isInQuickForm = false

  /// No defence: the training ends with an error at the first loss or gradient that is not finite.
  package static let none = Defence(
    name: "none", summary: "nothing; the first value that is not finite ends the training",
    measure: .stability(Stability(onFault: .raise)), isInQuickForm: true)

  /// All of them.
  package static let all: [Defence] =
    [none] + policies + clips + rates + weights + structures

  private static let policies = [
    Defence(
      name: "skip", summary: "leave out steps that are not finite, ten in a row at most",
      measure: .stability(Stability(onFault: .skipStep)), isInQuickForm: true),
    Defence(
      name: "zero", summary: "0 in place of gradients that are not finite",
      measure: .stability(Stability(onFault: .zero))),
    Defence(
      name: "clip-finite", summary: "the largest number in place of an infinite gradient",
      measure: .stability(Stability(onFault: .clipFinite))),
    Defence(
      name: "rewind", summary: "go back up to 8 steps and leave the batch out, ten times at most",
      measure: .stability(
        Stability(onFault: .rewind, rewind: RewindPlan(interval: 8))), isInQuickForm: true),
    Defence(
      name: "rewind-slower", summary: "go back up to 8 steps and halve the learning rate",
      measure: .stability(
        Stability(
          onFault: .rewind,
          rewind: RewindPlan(interval: 8, response: .shrinkLearningRate(0.5))))),
  ]

  private static func clip(
    _ name: String, _ summary: String, _ stage: ClipStage, isInQuickForm: Bool = false
  ) -> Defence {
    Defence(
      name: name, summary: summary,
      measure: .stability(Stability(clip: [stage], onFault: .raise)),
      isInQuickForm: isInQuickForm)
  }

  private static let clips = [
    clip("elementwise", "every element to ±0.1", .elementwise(0.1)),
    clip("per-tensor", "the norm of each tensor to 1", .perTensorNorm(1)),
    clip("global-norm", "the norm of all gradients to 1", .globalNorm(1), isInQuickForm: true),
    clip("global-max", "the largest magnitude of all gradients to 0.1", .globalMaxAbs(0.1)),
    clip("unitwise", "each unit's norm to 0.01 of its weights' (AGC)", .unitwise()),
    clip("autoclip", "the norm to the 10th percentile of the past (AutoClip)", .autoClip()),
    clip("zclip", "norms 2.5 deviations above their mean, from step 26 (ZClip)", .zClip()),
    clip("adagc", "each tensor to 1.05 of its mean; to 1 for 100 steps (AdaGC)", .adaGC()),
    clip("per-example", "each example's gradient to a norm of 1", .perExample(1)),
  ]

  private static let rates = [
    Defence(
      name: "warm-up", summary: "the learning rate grows for a quarter of the steps",
      measure: .schedule { .warmup(updates: max(1, $0 / 4), then: .constant) }),
    Defence(
      name: "cosine", summary: "the learning rate falls along a cosine",
      measure: .schedule { .cosine(updates: $0) }),
    Defence(
      name: "mirror-3", summary: "mirror descent with the 3-norm", measure: .mirror(.power(q: 3))),
    Defence(
      name: "hypentropy", summary: "mirror descent with the hypentropy map, β = 1",
      measure: .mirror(.hypentropy(beta: 1))),
    Defence(
      name: "upsgd", summary: "uniform noise of amplitude 0.01 on the gradients",
      measure: .stability(Stability(onFault: .raise, noise: .uniform(amplitude: 0.01)))),
    Defence(
      name: "loss-scale", summary: "the loss times 2^-8 before it is cast, gradients divided after",
      measure: .stability(Stability(onFault: .raise, lossScale: 0x1p-8))),
  ]

  private static let weights = [
    Defence(
      name: "he", summary: "weights drawn again, He normal", measure: .initializer(.heNormal)),
    Defence(
      name: "orthogonal", summary: "weights drawn again, orthogonal",
      measure: .initializer(.orthogonal()), isInQuickForm: true),
    Defence(
      name: "lsuv", summary: "orthogonal weights, scaled to a variance of 1 layer by layer",
      measure: .lsuv),
    Defence(
      name: "shrink-perturb",
      summary: "w ← w / 2 + noise of the initialiser's size, 20 times before training",
      measure: .shrinkAndPerturb),
    Defence(
      name: "shrink-often",
      summary: "w ← 0.9 w + noise of the initialiser's size, after every tenth step",
      measure: .periodicShrink(0.9, every: 10)),
    Defence(
      name: "l2", summary: "0.01 / 2 · Σ w² added to the loss",
      measure: .stability(Stability(onFault: .raise, penalties: [.l2(0.01)]))),
    Defence(
      name: "max-norm", summary: "the norm of each unit's weights to 2",
      measure: .stability(Stability(onFault: .raise, constraints: [.maximumNorm(2)]))),
  ]

  private static let structures = [
    Defence(
      name: "batch-norm", summary: "batch normalisation after each hidden layer",
      measure: .normalization(.batch)),
    Defence(
      name: "layer-norm", summary: "layer normalisation after each hidden layer",
      measure: .normalization(.layer)),
    Defence(
      name: "equity", summary: "gradient-balancing equity transform, at first and above 32",
      measure: .equity, isInQuickForm: true),
    Defence(
      name: "deadly-flip", summary: "exchange what comes into a volatile unit and a calm one",
      measure: .flip(.incoming)),
    Defence(
      name: "flip-permute", summary: "exchange a volatile unit and a calm one altogether",
      measure: .flip(.permutation)),
    Defence(
      name: "forget-bias", summary: "the bias of forget gates begins at 1",
      measure: .forgetBias(1), isInQuickForm: true),
    Defence(
      name: "stable-softmax", summary: "the logarithm of the softmax as one operation",
      measure: .stableSoftmax),
  ]

  /// Why it cannot act on a catastrophe, or nil.
  func obstacle(to catastrophe: Catastrophe) -> String? {
    let traits = catastrophe.traits
    let isFlat = !traits.contains(.hiddenLayers)
    let isRecurrent = traits.contains(.recurrent)
    switch measure {
    case .stability(let stability):
      if stability.lossScale != 1, !traits.contains(.half) {
        return "nothing is in half precision, where alone the scale of a loss matters"
      }
      if case .unitwise = stability.clip.stages.first, isFlat {
        return "the only layer is the last one, which clipping by unit leaves alone"
      }
    case .lsuv:
      if isRecurrent { return "a recurrent layer is no linear map that LSUV could scale" }
    case .normalization:
      if isFlat { return "there is no hidden layer to normalise" }
    case .equity, .flip:
      if isFlat { return "there are no hidden units" }
      if isRecurrent {
        return "the units of a recurrent layer are tied to themselves through time"
      }
    case .forgetBias:
      if !traits.contains(.gated) { return "there is no forget gate" }
    case .stableSoftmax:
      if !traits.contains(.softmax) { return "no softmax is written out" }
    case .schedule, .mirror, .initializer, .shrinkAndPerturb, .periodicShrink: break
    }
    return nil
  }
}
