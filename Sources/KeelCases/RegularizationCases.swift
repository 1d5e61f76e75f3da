internal import KeelAutograd
internal import KeelBackend

/// Penalties on gradients and the proximal step.
enum RegularizationCases {
  private static let halves: [Float] = [1, 1, 0.5, 0, 0, 1, 2, 0.5]

  static let all: [OperationCase] = [
    penalty("subgradient", l1: 0.1),
    penalty("subgradient_signs", l1: 0.1, fill: .repeating([0, -0.0, 1e-30, -1e-30, 3])),
    penalty("coupled", l2: 0.1),
    penalty("coupled_infinite", l1: 0.1, fill: .sprinkled([.infinity, -.infinity])),
    penalty("elastic_net", l1: 0.1, l2: 0.01),
    penalty("elastic_net_scales", l1: 0.1, l2: 0.01, scales: halves),
    penalty("elastic_net_nan", l1: 0.1, l2: 0.01, fill: .sprinkled([.nan])),
    penalty("elastic_net_blocks300", l1: 0.1, l2: 0.01, blocks: 300),
    penalty("frozen", l1: 0.1, l2: 0.1, scales: [0, 1], fill: .sprinkled([.nan])),
    proximal("proximal", l1: 1),
    proximal("proximal_scales", l1: 1, scales: halves),
    proximal("proximal_blocks300", l1: 0.5, blocks: 300),
    proximal("proximal_all_zero", l1: 100),
    proximal("proximal_special", l1: 1, fill: .sprinkled([.nan, .infinity, -.infinity, 0])),
    proximal("proximal_off", l1: 0, fill: .sprinkled([-0.0, .nan])),
    proximal("proximal_frozen", l1: 1, scales: [0, 1]),
    proximal("proximal_refused", l1: 1, applies: 0),
    penalty("elastic_net_11700000", l1: 0.1, l2: 0.01, blocks: 91_408, isLarge: true),
  ]

  private static func penalty(
    _ label: String, l1: Float = 0, l2: Float = 0, scales: [Float] = [1, 1],
    fill: CaseInput.Fill = .uniform(-2, 2), blocks: Int = 6, isLarge: Bool = false
  ) -> OperationCase {
    let count = blocks * ArenaBlock.count
    @Sendable func terms(_ t: [[Double]], magnitude: Bool) -> [Double] {
      t[0].indices.map { i in
        let block = i / ArenaBlock.count
        let (scale, decay) = (t[2][2 * block], t[2][2 * block + 1])
        guard scale != 0, decay != 0 else { return magnitude ? abs(t[0][i]) : t[0][i] }
        let p = t[1][i]
        let sign = p.isNaN ? p : p > 0 ? 1.0 : p < 0 ? -1 : 0
        let square = l2 == 0 ? 0 : Double(l2) * p
        return magnitude
          ? abs(t[0][i]) + decay * (Double(l1) + abs(square))
          : t[0][i] + decay * (Double(l1) * sign + square)
      }
    }
    return OperationCase(
      .regularization, label,
      inputs: [
        CaseInput([count]), CaseInput([count], fill), CaseInput([blocks, 2], .repeating(scales)),
      ],
      tolerance: .rounding, magnitude: .given { [terms($0, magnitude: true)] },
      work: isLarge ? .init(flops: 4 * count, bytes: 12 * count) : nil,
      run: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.addPenaltyGradient(
            to: t[0].value, parameters: t[1].value, scales: t[2].value, l1: l1, l2: l2)
        }
        return t[0]
      },
      oracle: { terms($0, magnitude: false) })
  }

  private static func proximal(
    _ label: String, l1: Float, scales: [Float] = [1, 1], applies: Float = 1,
    fill: CaseInput.Fill = .uniform(-2, 2), blocks: Int = 6
  ) -> OperationCase {
    let (count, rate) = (blocks * ArenaBlock.count, Float(0.5))
    @Sendable func amount(_ t: [[Double]], _ i: Int) -> Double {
      let block = i / ArenaBlock.count
      return Double(rate) * t[1][2 * block] * t[1][2 * block + 1] * Double(l1)
    }
    return OperationCase(
      .regularization, label,
      inputs: [
        CaseInput([count], fill), CaseInput([blocks, 2], .repeating(scales)),
        GradientNoiseCases.decision([(.learningRate, rate), (.applies, applies)]),
      ],
      tolerance: .rounding,
      magnitude: .given { t in [t[0].indices.map { abs(t[0][$0]) + amount(t, $0) }] },
      run: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.shrinkParameters(
            t[0].value, scales: t[1].value, l1: l1, decision: t[2].value)
        }
        return t[0]
      },
      oracle: { t in
        guard applies != 0 else { return t[0] }
        return t[0].indices.map { i in
          let (p, by) = (t[0][i], amount(t, i))
          if by == 0 || p.isNaN { return p }
          return p > by ? p - by : p < -by ? p + by : 0
        }
      })
  }
}
