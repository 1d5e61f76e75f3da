import Keel
import KeelStability
import Testing

/// Options of the step: text forms, limits, contradictions.
@Suite struct StabilityOptionTests {
  private func refusal(
    _ stability: Stability, _ optimizer: Optimizer = .sgd(learningRate: 0.1)
  ) -> String {
    sentence { try stability.validate(with: optimizer) }
  }

  @Test(arguments: [0, -1, .nan, .infinity] as [Float])
  func limitsAreFiniteAndAboveZero(_ limit: Float) {
    let stages: [ClipStage] = [
      .elementwise(limit), .perTensorNorm(limit), .globalNorm(limit), .globalMaxAbs(limit),
      .perExample(limit), .unitwise(ratio: limit), .unitwise(floor: limit),
      .zClip(threshold: limit), .adaGC(limit: limit),
    ]
    for stage in stages {
      let text = refusal(Stability(clip: [stage]))
      #expect(text.contains("a finite") && text.contains("above 0"), "\(stage)")
      #expect(text.contains("\(limit)") && text.contains(stage.name))
    }
    #expect(refusal(Stability(constraints: [.maximumNorm(limit)])).contains("above 0"))
    #expect(refusal(Stability(constraints: [.spectralNorm(limit)])).contains("above 0"))
    #expect(refusal(Stability(penalties: [.l1(limit)])).contains("above 0"))
  }

  @Test func numbersOutOfRangeAreRefused() {
    let cases: [(Stability, String)] = [
      (Stability(clip: [.autoClip(percentile: 101)]), "a percentile"),
      (Stability(clip: [.autoClip(window: 0)]), "a window"),
      (Stability(clip: [.zClip(alpha: 1)]), "an alpha"),
      (Stability(clip: [.adaGC(beta: 1)]), "a beta"),
      (Stability(maximumSkips: -1), "skips in a row"),
      (Stability(lossScale: 3), "a power of two"),
      (Stability(noise: .uniform(amplitude: -1)), "at least 0"),
      (Stability(rewind: RewindPlan(interval: 0)), "an interval"),
      (Stability(rewind: RewindPlan(response: .shrinkLearningRate(1))), "between 0 and 1"),
    ]
    for (stability, part) in cases { #expect(refusal(stability).contains(part), "\(part)") }
  }

  @Test func contradictionsAreRefusedWithTheReason() {
    let decaying = Optimizer.adamW(weightDecay: 0.1)
    let cases: [(Stability, Optimizer, String)] = [
      (Stability(constraints: [.unitNorm]), decaying, "undoes what the decay does"),
      (Stability(penalties: [.l2(0.1)]), decaying, "decay twice"),
      (
        Stability(constraints: [.unitNorm, .maximumNorm(1)]), .sgd(learningRate: 1),
        "one constraint on the size"
      ),
      (Stability(constraints: [.simplex]), .adam(), "the entropy map"),
      (Stability(clip: [.zClip(), .autoClip()]), .adam(), "at most one stage that adapts"),
      (Stability(clip: [.globalNorm(1), .perExample(1)]), .adam(), "the first stage"),
    ]
    for (stability, optimizer, part) in cases {
      #expect(refusal(stability, optimizer).contains(part), "\(part)")
    }
    #expect(refusal(Stability(clip: [.perExample(1), .globalNorm(1)])) == "")
  }

  @Test func stagesAreReadFromText() throws {
    let cases: [(String, ClipStage)] = [
      ("global-norm:1", .globalNorm(1)), ("elementwise:0.5", .elementwise(0.5)),
      ("per-tensor-norm:2e-3", .perTensorNorm(2e-3)), ("zclip", .zClip()),
      ("zclip:0.9:3:50", .zClip(alpha: 0.9, threshold: 3, warmUp: 50)),
      ("autoclip:50", .autoClip(percentile: 50)), ("unitwise", .unitwise()),
      ("adagc:1.1", .adaGC(relative: 1.1)), ("per-example:1", .perExample(1)),
    ]
    for (text, stage) in cases { #expect(try ClipStage(parsing: text) == stage) }
    for (text, part) in [
      ("norm:1", "one of adagc, autoclip"), ("global-norm", "global-norm:limit"),
      ("global-norm:a", "each a number"), ("global-norm:1:2", "global-norm:limit"),
      ("global-norm:0", "above 0"), ("zclip:0.9:3:1.5", "zclip[:alpha]"), ("", "one of"),
    ] {
      #expect(sentence { _ = try ClipStage(parsing: text) }.contains(part), "\(text)")
    }
    #expect("\(ClipChain([.elementwise(0.5), .zClip()]))" == "elementwise 0.5, zclip 0.97 2.5 25")
  }

  @Test func aShortLimitAndAChainAreNotBothGiven() throws {
    let bench = try NetworkBench(.cpu)
    let text = sentence {
      _ = try Updater(
        .adam(), for: bench.model, clipGlobalNorm: 1, stability: Stability(clip: [.zClip()]))
    }
    #expect(text.contains("add .globalNorm(1.0)"))
  }
}
