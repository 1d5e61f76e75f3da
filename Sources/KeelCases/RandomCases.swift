internal import KeelAutograd
internal import KeelBackend

/// Random words and numbers: the same bits on every device.
enum RandomCases {
  static let all: [OperationCase] =
    [1, 3, 4, 1027].map { bits("bits_\($0)", RandomKey(seed: 7, .user, step: 3), [$0]) } + [
      bits("bits_seed64", RandomKey(seed: 0xFEDC_BA98_7654_3210, .noise, index: 77), [5, 41]),
      bits(
        "bits_step64", RandomKey(seed: 1, .dropout, step: 0x0123_4567_89AB_CDEF), [129]),
      bits("bits_70001", RandomKey(seed: 2, .shuffle), [70001]),
      uniform("uniform", RandomKey(seed: 11, .initialization, index: 5), [33, 9], 0, 1),
      uniform("uniform_symmetric", RandomKey(seed: 12, .initialization), [1025], -0.3, 0.3),
      uniform("uniform_one", RandomKey(seed: 13, .user), .scalar, 5, 6),
      uniform("uniform_70001", RandomKey(seed: 14, .user), [70001], -1e-3, 7),
      OperationCase(
        .random, "uniform_16777216", inputs: [], tolerance: .exact,
        work: .init(bytes: 4 << 24),
        run: { (t) throws(TensorError) in
          try Tensor.random(
            .uniform(low: 0, high: 1), shape: [1 << 24], key: RandomKey(seed: 1, .user),
            on: t.device)
        },
        oracle: { _ in words(RandomKey(seed: 1, .user), 1 << 24).map(unit) }),
    ]

  /// The first words of a sequence, by their definition.
  static func words(_ key: RandomKey, _ count: Int) -> [UInt32] {
    (0..<count).map { key.words(block: UInt32($0 / 4))[$0 % 4] }
  }

  private static func unit(_ word: UInt32) -> Double { Double(word >> 8) * 0x1p-24 }

  private static func bits(_ label: String, _ key: RandomKey, _ shape: Shape) -> OperationCase {
    OperationCase(
      .random, label, inputs: [], tolerance: .exact,
      run: { (t) throws(TensorError) in
        try Tensor.randomBits(shape: shape, key: key, on: t.device)
      },
      oracle: { _ in words(key, shape.count).map { Double(Int32(bitPattern: $0)) } })
  }

  private static func uniform(
    _ label: String, _ key: RandomKey, _ shape: Shape, _ low: Float, _ high: Float
  ) -> OperationCase {
    OperationCase(
      .random, label, inputs: [], tolerance: .exact,
      run: { (t) throws(TensorError) in
        try Tensor.random(.uniform(low: low, high: high), shape: shape, key: key, on: t.device)
      },
      oracle: { _ in
        // Rounded where the contract rounds: the width, the product, the sum.
        words(key, shape.count).map { word in
          let product = (high - low) * Float(unit(word))
          return Double(low + product)
        }
      })
  }
}
