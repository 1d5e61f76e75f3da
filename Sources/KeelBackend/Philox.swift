/// The Philox-4x32-10 counter-based random number generator.
///
/// Every random number of Keel comes from here: the word at an index is a pure function of
/// (seed, stream, step, index), so any device, thread or order of evaluation sees the same bits.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
public enum Philox {
  /// Ten rounds of Philox-4x32: four random 32-bit words for one counter and key.
  @inlinable
  public static func block(key: SIMD2<UInt32>, counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
    var (key, counter) = (key, counter)
    for round in 0..<10 {
      if round > 0 { key &+= SIMD2(0x9E37_79B9, 0xBB67_AE85) }
      let first = UInt64(counter[0]) &* 0xD251_1F53
      let second = UInt64(counter[2]) &* 0xCD9E_8D57
      counter = SIMD4(
        UInt32(truncatingIfNeeded: second >> 32) ^ counter[1] ^ key[0],
        UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ counter[3] ^ key[1],
        UInt32(truncatingIfNeeded: first))
    }
    return counter
  }
}

/// What a stream of random numbers is for; two purposes never share numbers.
public enum RandomPurpose: UInt8, Sendable, CaseIterable {
  case initialization = 1
  case dropout
  case shuffle
  case split
  case syntheticData
  case augmentation
  case noise
  case user
  /// Which launches a shadow looks at.
  case shadow = 200
  /// Whether two units are exchanged.
  case flip = 201
  /// The direction from which a probe looks for the largest curvature.
  case probe = 210
}

/// The name of one sequence of random numbers: (seed, purpose, index, step).
///
/// Word `i` of the sequence is lane `i % 4` of ``Philox/block(key:counter:)`` with
/// key = (low, high half of the seed) and
/// counter = (i / 4, stream, low, high half of the step), stream = purpose * 2^24 + index.
public struct RandomKey: Hashable, Sendable {
  /// The seed of the run.
  public var seed: UInt64
  /// The purpose in the top eight bits, an index (of a layer, a parameter) below.
  public var stream: UInt32
  /// The training step, epoch or other position that selects fresh numbers.
  public var step: UInt64

  /// Names the sequence of `purpose` number `index` at `step`.
  public init(seed: UInt64, _ purpose: RandomPurpose, index: Int = 0, step: UInt64 = 0) {
    self.seed = seed
    self.stream = UInt32(purpose.rawValue) << 24 | UInt32(truncatingIfNeeded: index) & 0xFF_FFFF
    self.step = step
  }

  /// The Philox key: low and high half of the seed.
  public var philoxKey: SIMD2<UInt32> {
    SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
  }

  /// Words 4 * block ..< 4 * block + 4 of the sequence.
  @inlinable
  public func words(block: UInt32) -> SIMD4<UInt32> {
    Philox.block(
      key: philoxKey,
      counter: SIMD4(
        block, stream, UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32)))
  }
}

/// A cursor over the words of one ``RandomKey``, for code on the host.
public struct RandomSequence: RandomNumberGenerator, Sendable {
  private let key: RandomKey
  private var position: UInt64 = 0
  private var words = SIMD4<UInt32>()

  /// Starts at word 0 of `key`.
  public init(_ key: RandomKey) { self.key = key }

  /// The next 32-bit word.
  public mutating func nextWord() -> UInt32 {
    let lane = Int(position % 4)
    if lane == 0 { words = key.words(block: UInt32(truncatingIfNeeded: position / 4)) }
    position += 1
    return words[lane]
  }

  /// The next 64 bits: two words, the first one low.
  public mutating func next() -> UInt64 {
    let low = UInt64(nextWord())
    return low | UInt64(nextWord()) << 32
  }

  /// The next number in [0, 1): the top 24 bits of a word times 2^-24, exact in float32.
  public mutating func nextUniform() -> Float { Float(nextWord() >> 8) * 0x1p-24 }

  /// The next number in [0, `bound`), without bias (Lemire's multiplication, 2019).
  public mutating func next(below bound: UInt32) -> UInt32 {
    precondition(bound > 0)
    let threshold = (0 &- bound) % bound
    while true {
      let product = UInt64(nextWord()) * UInt64(bound)
      if UInt32(truncatingIfNeeded: product) >= threshold { return UInt32(product >> 32) }
    }
  }

  /// A permutation of 0 ..< `count` (Fisher and Yates, Durstenfeld's form, 1964).
  public mutating func permutation(_ count: Int) -> [Int32] {
    var order = (0..<Int32(count)).map { $0 }
    for last in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(last, Int(next(below: UInt32(last + 1))))
    }
    return order
  }
}
