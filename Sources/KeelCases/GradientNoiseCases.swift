internal import KeelAutograd
internal import KeelBackend

/// Noise on gradients: the same bits on every device.
enum GradientNoiseCases {
  static let all: [OperationCase] = [
    uniform("uniform"),
    uniform("uniform_one_block", blocks: 1),
    uniform("uniform_blocks300", blocks: 300),
    uniform("uniform_seed64", seed: 0xFEDC_BA98_7654_3210),
    uniform("uniform_row1000", row: 1000),
    uniform("uniform_step64", firstUpdate: 0xFFFF_FFFF, row: 2),
    uniform("uniform_large_amplitude", amplitude: 1e20),
    uniform("uniform_frozen", scales: [1, 1, 0, 1, 0.5, 0]),
    uniform("uniform_nan", fill: .sprinkled([.nan, .infinity])),
    uniform("uniform_amplitude_zero", amplitude: 0, fill: .sprinkled([-0.0, .nan])),
    uniform("uniform_refused", applies: 0),
    added("added", norm: 0.5),
    added("added_count1027", norm: 0.5, count: 1027),
    added("added_norm_at_threshold", norm: 1),
    added("added_norm_above", norm: 2),
    added("added_norm_nan", norm: .nan),
    added("added_refused", norm: 0.5, applies: 0),
    uniform("uniform_11700000", blocks: 91_408, isLarge: true),
  ]

  /// A decision with these fields, the others 0.
  static func decision(_ fields: [(DecisionField, Float)]) -> CaseInput {
    var values = [Float](repeating: 0, count: DecisionField.count)
    for (field, value) in fields { values[field.rawValue] = value }
    return CaseInput([DecisionField.count], .repeating(values))
  }

  private static func uniform(
    _ label: String, seed: UInt64 = 9, firstUpdate: UInt64 = 0, row: Int32 = 1,
    amplitude: Float = 0.3, applies: Float = 1, scales: [Float] = [1, 1],
    fill: CaseInput.Fill = .uniform(-2, 2), blocks: Int = 6, isLarge: Bool = false
  ) -> OperationCase {
    let count = blocks * ArenaBlock.count
    return OperationCase(
      .gradientNoise, label,
      inputs: [
        CaseInput([count], fill), CaseInput([CounterField.count], .integers([row, 0, 0, 0])),
        CaseInput([blocks, 2], .repeating(scales)),
        decision([(.noise, amplitude), (.applies, applies)]),
      ],
      tolerance: .exact, work: isLarge ? .init(flops: 3 * count, bytes: 8 * count) : nil,
      run: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.addUniformNoise(
            to: t[0].value, seed: seed, firstUpdate: firstUpdate, counters: t[1].value,
            scales: t[2].value, decision: t[3].value)
        }
        return t[0]
      },
      oracle: { t in
        guard applies != 0, amplitude != 0 else { return t[0] }
        let key = RandomKey(seed: seed, .noise, step: firstUpdate + UInt64(row) - 1)
        return zip(t[0], RandomCases.words(key, count)).enumerated().map { i, pair in
          if t[2][2 * (i / ArenaBlock.count)] == 0 { return pair.0 }
          // Rounded where the contract rounds: the product, the sum.
          let noise = amplitude * (2 * Float(pair.1 >> 8) * 0x1p-24 - 1)
          return Double(Float(pair.0) + noise)
        }
      })
  }

  private static func added(
    _ label: String, norm: Float, applies: Float = 1, count: Int = 256
  ) -> OperationCase {
    OperationCase(
      .gradientNoise, label,
      inputs: [
        CaseInput([count]), CaseInput([count]), decision([(.norm, norm), (.applies, applies)]),
      ],
      tolerance: .exact,
      run: { (t) throws(TensorError) in
        try onDevice { () throws(DeviceError) in
          try t.backend.addNoise(
            t[0].value, to: t[1].value, whereNormBelow: 1, decision: t[2].value)
        }
        return t[1]
      },
      oracle: { t in
        guard applies != 0, norm < 1 else { return t[1] }
        return zip(t[0], t[1]).map { Double(Float($0) + Float($1)) }
      })
  }
}
