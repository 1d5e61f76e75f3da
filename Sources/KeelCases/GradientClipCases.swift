internal import Glibc
internal import KeelAutograd
internal import KeelBackend

/// Limits of gradients: every rule, its state over several updates, the passes over the arena.
enum GradientClipCases {
  static let all = stateless + adaptive + passes + large

  // MARK: Coefficients

  private static let stateless: [OperationCase] = [
    rule("global_norm", .globalNorm(1), [[3, 4, 12]]),
    rule("global_norm_in_the_middle", .globalNorm(1), [[3, 4, 12]], isLast: false),
    rule("global_norm_at_limit", .globalNorm(13), [[3, 4, 12]]),
    rule("global_norm_below_limit", .globalNorm(13.5), [[3, 4, 12]]),
    rule("global_norm_huge", .globalNorm(2), [[3e20, 4e20]]),
    rule("global_norm_tiny", .globalNorm(1e-25), [[3e-24, 4e-24]]),
    rule("global_norm_nan", .globalNorm(1), [[3, .nan]]),
    rule("global_norm_infinite", .globalNorm(1), [[3, .infinity]]),
    rule("global_max_abs", .globalMaxAbs(0.7), [[3, 4, 12]]),
    rule("global_max_abs_below_limit", .globalMaxAbs(7), [[3, 4, 12]]),
    rule("global_max_abs_nan", .globalMaxAbs(1), [[3, .nan]], isLast: false),
    rule("per_tensor_norm", .perTensorNorm(3.5), [[3, 4, 12, 3.5]]),
    rule("per_tensor_norm_below_limit", .perTensorNorm(13), [[3, 4, 12]]),
    rule("per_tensor_norm_huge", .perTensorNorm(1e20), [[3e20, 4e25, 1e19]]),
    rule("per_tensor_norm_tiny", .perTensorNorm(1e-25), [[3e-24, 4e-30, 0]]),
    rule("per_tensor_norm_nan", .perTensorNorm(1), [[3, .nan, 0]], isLast: false),
    rule("per_tensor_norm_600", .perTensorNorm(2), [(0..<600).map { Float($0 % 11) }]),
    rule("not_applied", .globalNorm(1), [[3, 4]], applies: false),
    rule("per_tensor_norm_not_applied", .perTensorNorm(1), [[3, 4]], applies: false),
    rule("repaired_stays_repaired", .globalNorm(1), [[3, 4]], verdict: .repaired),
    rule("smaller_factor_before", .globalNorm(4), [[3, 4]], factor: 0.25),
  ]

  /// Norms of one tensor that rise, fall and spike.
  private static let stream: [[Float]] = [4, 5, 3, 6, 200, 5, 2, 7, 4.5, 90, 3].map { [$0] }

  private static let adaptive: [OperationCase] = [
    rule("auto_clip", .autoClip(percentile: 50, window: 4), stream),
    rule("auto_clip_first", .autoClip(percentile: 10, window: 10), [[5]]),
    rule("auto_clip_lowest", .autoClip(percentile: 0, window: 3), stream, isLast: false),
    rule("auto_clip_highest", .autoClip(percentile: 100, window: 3), stream),
    rule("auto_clip_window1", .autoClip(percentile: 30, window: 1), stream),
    rule(
      "auto_clip_equal_norms", .autoClip(percentile: 25, window: 4), .init(repeating: [3], count: 9)
    ),
    rule(
      "auto_clip_nan", .autoClip(percentile: 50, window: 4), [[3], [.nan], [4], [.infinity], [5]]),
    rule("auto_clip_zeros", .autoClip(percentile: 50, window: 4), [[0], [0], [1], [2], [3]]),
    rule(
      "auto_clip_window600", .autoClip(percentile: 90, window: 600), [[900], [3], [650.5]],
      state: filled(600)),
    rule("auto_clip_not_applied", .autoClip(percentile: 50, window: 4), stream, applies: false),
    rule("z_clip", .zClip(alpha: 0.9, threshold: 2.5, warmUp: 4), stream),
    rule("z_clip_without_warm_up", .zClip(alpha: 0.5, threshold: 2, warmUp: 0), [[0], [3], [4]]),
    rule("z_clip_warm_up", .zClip(alpha: 0.9, threshold: 1, warmUp: 20), stream),
    rule(
      "z_clip_in_the_middle", .zClip(alpha: 0.9, threshold: 1, warmUp: 4), stream, isLast: false),
    rule("z_clip_nan", .zClip(alpha: 0.9, threshold: 2, warmUp: 2), [[3], [4], [.nan], [90], [5]]),
    rule("z_clip_not_applied", .zClip(alpha: 0.9, threshold: 1, warmUp: 0), stream, applies: false),
    rule("ada_gc", adaGC(2), stream.map { [$0[0], 2, 3 * $0[0]] }),
    rule("ada_gc_warm_up", adaGC(50), stream.map { [$0[0], 2, 3 * $0[0]] }, isLast: false),
    rule("ada_gc_without_warm_up", adaGC(0), [[3, 4, 0], [30, 4, 5], [3, 40, 50]]),
    rule("ada_gc_nan", adaGC(1), [[3, 4], [.nan, 4], [30, 5]]),
    rule(
      "ada_gc_tensors600", adaGC(1), [1, 3, 2].map { s in (0..<600).map { Float($0 % 7) * s } }),
    rule("ada_gc_not_applied", adaGC(0), [[3, 4]], applies: false),
  ]

  private static func adaGC(_ warmUp: Int) -> ClipRule {
    .adaGC(relative: 1.05, beta: 0.75, warmUp: warmUp, limit: 10)
  }

  /// A ring of so many norms that is full, the oldest in the middle.
  private static func filled(_ window: Int) -> [Float] {
    let ring = (0..<window).map { Float(($0 * 7) % window) + 100 }
    return [Float(window + window / 2)] + ring + ring.sorted()
  }

  /// One update after the other: `norms[update][tensor]`.
  private static func rule(
    _ label: String, _ rule: ClipRule, _ norms: [[Float]], isLast: Bool = true,
    applies: Bool = true, verdict: StepVerdict = .applied, factor: Float = 1,
    state: [Float]? = nil
  ) -> OperationCase {
    let tensors = norms[0].count
    let stateCount = rule.stateCount(tensors: tensors)
    // Rows of whole blocks, so that each is a view of its own: norm and largest of each tensor,
    // then of all.
    let row = (2 * tensors + ArenaBlock.count - 1) / ArenaBlock.count * ArenaBlock.count
    let statistics = norms.flatMap { norms in
      norms.flatMap { [$0, $0 / 2] } + [Float](repeating: 0, count: row - 2 * norms.count)
    }
    let summary = norms.flatMap { norms -> [Float] in
      let norm = norms.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let largest = norms.contains { $0.isNaN } ? .nan : (norms.max() ?? 0) / 2
      return [Float(norm), largest] + [Float](repeating: 0, count: ArenaBlock.count - 2)
    }
    var decision = [Float](repeating: 0, count: DecisionField.count)
    decision[DecisionField.coefficient.rawValue] = 1
    decision[DecisionField.applies.rawValue] = applies ? 1 : 0
    decision[DecisionField.verdict.rawValue] = Float(verdict.rawValue)
    decision[DecisionField.factor.rawValue] = factor
    let start = state ?? [Float](repeating: 0, count: max(1, stateCount))
    let numbers: [Float] = .init(repeating: 1, count: tensors)
    return OperationCase(
      .gradientClip, label,
      inputs: [
        CaseInput([norms.count, row], .repeating(statistics)),
        CaseInput([norms.count, ArenaBlock.count], .repeating(summary)),
        CaseInput([DecisionField.count], .repeating(decision)),
        CaseInput([start.count], .repeating(start)), CaseInput([tensors], .repeating(numbers)),
      ],
      tolerance: .sum(of: 1 << min(20, 2 * norms.count)), magnitude: .element,
      outputs: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          let unread = try TelescopeReading(tensors: tensors, on: t.backend)
          for update in norms.indices {
            let reading = TelescopeReading(
              statistics: t[0].value.view(offset: update * row, shape: [tensors, 2]),
              counts: unread.counts, histogram: unread.histogram,
              summary: t[1].value.view(offset: update * ArenaBlock.count, shape: [2]),
              faults: unread.faults)
            try t.backend.clipCoefficients(
              rule, reading, isLast: isLast, state: stateCount > 0 ? t[3].value : nil,
              decision: t[2].value, into: t[4].value)
          }
        }
        return [t[4], t[2], t[3]]
      },
      oracles: { inputs in
        var oracle = ClipOracle(rule, inputs, isLast: isLast)
        for update in norms.indices {
          let own = (0..<tensors).map { inputs[0][update * row + 2 * $0] }
          oracle.update(
            norms: own, norm: inputs[1][update * ArenaBlock.count],
            largest: inputs[1][update * ArenaBlock.count + 1])
        }
        return [oracle.coefficients, oracle.decision, oracle.state]
      })
  }

  // MARK: Passes over the arena

  private static let passes: [OperationCase] = [
    scale("scale", [5, 8200, 129], [0.5, 0.3, 1]),
    scale("scale_not_applied", [300], [0.5], applies: false),
    scale("scale_ones", [1000, 7], [1, 1], fill: .sprinkled([.nan, -0.0, .infinity])),
    scale("scale_special", [1000, 7], [0.1, 0], fill: .sprinkled([.nan, -0.0, .infinity])),
    clip("elements", 1000, 0.5),
    clip(
      "elements_odd", 4097, 1.5, fill: .sprinkled([.nan, .infinity, -.infinity, 1.5, -1.5, -0.0])),
    clip("elements_wide", 70_001, 3, fill: .sprinkled([4, -4, .nan])),
    clip("elements_not_applied", 130, 0.5, applies: false),
    repair("repair_zero", 4097, .zero),
    repair("repair_finite", 4097, .clipFinite),
    repair("repair_odd", 13, .clipFinite),
    repair("repair_nothing_wrong", 1000, .zero, faults: 0),
  ]

  private static let large: [OperationCase] = [
    scale("scale_11700000", [11_700_224], [0.5], isLarge: true),
    clip("elements_11700000", 11_700_224, 1, isLarge: true),
    clip("elements_nothing_above_11700000", 11_700_224, 3, isLarge: true),
    repair("repair_11700000", 11_700_224, .zero, isLarge: true),
  ]

  private static func decision(_ applies: Bool) -> CaseInput {
    var numbers = [Float](repeating: 1, count: DecisionField.count)
    numbers[DecisionField.applies.rawValue] = applies ? 1 : 0
    return CaseInput([DecisionField.count], .repeating(numbers))
  }

  private static func work(_ count: Int, _ isLarge: Bool) -> OperationCase.Work? {
    isLarge ? .init(flops: count, bytes: 8 * count) : nil
  }

  private static func scale(
    _ label: String, _ counts: [Int], _ factors: [Float], applies: Bool = true,
    fill: CaseInput.Fill = .uniform(-2, 2), isLarge: Bool = false
  ) -> OperationCase {
    let (places, total) = GradientTelescopeCases.places(counts)
    return OperationCase(
      .gradientClip, label,
      inputs: [CaseInput([total], fill)] + GradientTelescopeCases.table(places) + [
        CaseInput([counts.count], .repeating(factors)), decision(applies),
      ],
      tolerance: .exact, work: work(total, isLarge),
      outputs: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.scaleGradients(
            t[0].value, TelescopeTable(chunks: t[1].value, tensors: t[2].value),
            coefficients: t[3].value, decision: t[4].value)
        }
        return [t[0]]
      },
      oracles: { t in
        var g = t[0]
        for (place, factor) in zip(places, t[3]) where applies && factor != 1 {
          for i in place.offset..<place.offset + place.count { g[i] *= factor }
        }
        return [g]
      })
  }

  private static func clip(
    _ label: String, _ count: Int, _ limit: Float, applies: Bool = true,
    fill: CaseInput.Fill = .uniform(-2, 2), isLarge: Bool = false
  ) -> OperationCase {
    OperationCase(
      .gradientClip, label, inputs: [CaseInput([count], fill), decision(applies)],
      tolerance: .exact, work: work(count, isLarge),
      outputs: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.clipElements(t[0].value, limit: limit, decision: t[1].value)
        }
        return [t[0]]
      },
      oracles: { t in
        let c = Double(limit)
        return [applies ? t[0].map { $0 < -c ? -c : $0 > c ? c : $0 } : t[0]]
      })
  }

  private static func repair(
    _ label: String, _ count: Int, _ repair: FaultRepair, faults: Int32 = 9,
    isLarge: Bool = false
  ) -> OperationCase {
    OperationCase(
      .gradientClip, label,
      inputs: [
        CaseInput([count], .sprinkled([.nan, .infinity, -.infinity, 1, -.nan])),
        CaseInput([2], .integers([faults, faults > 0 ? 0 : -1])),
      ],
      tolerance: .exact, work: work(count, isLarge),
      outputs: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.repairGradients(t[0].value, repair, faults: t[1].value)
        }
        return [t[0]]
      },
      oracles: { t in
        let most = Double(repair == .zero ? 0 : Float.greatestFiniteMagnitude)
        guard faults > 0 else { return [t[0]] }
        return [t[0].map { $0.isNaN ? 0 : $0.isInfinite ? ($0 > 0 ? most : -most) : $0 }]
      })
  }
}
