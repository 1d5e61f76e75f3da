import KeelBackend
import KeelData
import Testing

@Suite struct PairSamplerTests {
  /// Labels 0 1 2 0 1 2 …
  private static func sampler(
    _ count: Int, _ pairing: PairSampler.Pairing, seed: UInt64 = 1
  ) throws -> PairSampler {
    try PairSampler(DatasetTests.numbered(count), pairing, seed: seed)
  }

  private static func statistic(_ counts: some Collection<Int>) -> Double {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    return counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
  }

  @Test func everyPairOfAClassAndTheRestIsEquallyLikely() throws {
    let sampler = try Self.sampler(15, .classVersusRest(1))
    #expect(sampler.pairCount == 50)
    var counts: [ExamplePair: Int] = [:]
    for step in 0..<UInt64(20_000) {
      let pair = sampler.pair(step: step)
      #expect(pair.positive % 3 == 1 && pair.negative % 3 != 1)
      counts[pair, default: 0] += 1
    }
    #expect(counts.count == 50)
    // 49 degrees of freedom: 85.4 is exceeded by chance once in a thousand.
    #expect(Self.statistic(counts.values) < 85.4)
  }

  @Test func everyDistinctPairIsEquallyLikely() throws {
    let sampler = try Self.sampler(7, .distinct)
    #expect(sampler.pairCount == 42)
    var counts: [ExamplePair: Int] = [:]
    for step in 0..<UInt64(2000) {
      for pair in sampler.pairs(10, step: step) {
        #expect(pair.positive != pair.negative)
        counts[pair, default: 0] += 1
      }
    }
    #expect(counts.count == 42)
    // 41 degrees of freedom.
    #expect(Self.statistic(counts.values) < 74.7)
  }

  @Test func pairsDependOnSeedAndStepAlone() throws {
    let (first, second) = (
      try Self.sampler(60, .classVersusRest(0)), try Self.sampler(60, .classVersusRest(0))
    )
    let other = try Self.sampler(60, .classVersusRest(0), seed: 2)
    let pairs = (0..<50).map { first.pair(step: $0) }
    #expect((0..<50).reversed().map { second.pair(step: $0) } == pairs.reversed())
    #expect((0..<50).map { other.pair(step: $0) } != pairs)
    #expect(first.pairs(4, step: 7)[0] == pairs[7])
    #expect(Set(first.pairs(4, step: 7)).count > 1)
    #expect(first.pairs(-1, step: 0).isEmpty)
  }

  @Test func setsWithoutPairsAreRefused() throws {
    let data = try DatasetTests.numbered(6)
    #expect(dataError { _ = try Self.sampler(1, .distinct) }?.kind == .empty)
    for label in [-1, 3] {
      #expect(dataError { _ = try Self.sampler(6, .classVersusRest(label)) }?.kind == .outOfRange)
    }
    let alone = dataError { _ = try PairSampler(data[0..<1], .classVersusRest(0), seed: 0) }
    #expect(alone?.kind == .empty)
    let none = dataError { _ = try PairSampler(data[0..<2], .classVersusRest(2), seed: 0) }
    #expect(none?.description.contains("0 of 2 examples are of the class") == true)
    #expect(try Self.sampler(2, .distinct).pairCount == 2)
  }
}
