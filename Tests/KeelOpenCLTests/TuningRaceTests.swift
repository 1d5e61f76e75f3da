import KeelBackend
import KeelOpenCL
import Testing

/// Which candidate wins, by recorded times: tuning twice must find the same.
@Suite struct TuningRaceTests {
  private func plan(_ rows: Int, _ vectors: Int = 2) -> TunedPlan {
    .matmul(
      .tiles(MatmulTiles(rows: rows, vectors: vectors, packsLeft: false, packsRight: false)))
  }

  /// Times of a candidate, relative to the default's, as pairs of runs gave them.
  private func times(_ ratios: [Double]) -> TuningComparison {
    TuningComparison(ratios.map { (candidate: $0 * 1e-3, standard: 1e-3) })
  }

  private func winner(_ entries: [(rows: Int, ratios: [Double])]) -> TunedPlan? {
    var race = TuningRace()
    for entry in entries { race.enter(plan(entry.rows), times(entry.ratios)) }
    return race.leader?.plan
  }

  /// Medians of tiles for 3584 x 128 x 512 (rows, vectors, ratio to the default) in two runs of
  /// `keel tune --verbose` one after the other, PoCL 3.1 on two Zen 4 cores that others used too.
  private static let recorded: [[(rows: Int, vectors: Int, ratio: Double)]] = [
    [
      (4, 1, 1.071), (4, 2, 1.140), (4, 3, 1.017), (6, 1, 0.914), (6, 2, 1.011), (6, 3, 1.013),
      (8, 1, 0.894), (8, 3, 1.001), (12, 1, 0.843), (12, 2, 0.988), (12, 3, 1.257),
    ],
    [
      (4, 1, 1.078), (4, 2, 1.104), (4, 3, 1.012), (6, 1, 0.902), (6, 2, 1.024), (6, 3, 1.062),
      (8, 1, 0.853), (8, 3, 1.012), (12, 1, 0.856), (12, 2, 0.999), (12, 3, 1.265),
    ],
  ]

  /// The second run's least median is another's: 8 rows, not 12. They are equal, and what the
  /// first run has chosen stays.
  @Test func tuningAgainAgrees() throws {
    func run(_ times: [(rows: Int, vectors: Int, ratio: Double)], after known: TunedPlan?)
      -> TunedPlan?
    {
      let entries = times.map { (plan($0.rows, $0.vectors), self.times([$0.ratio])) }
      var race = TuningRace()
      for entry in entries where entry.0 == known { race.enterRemembered(entry.0, entry.1) }
      for entry in entries where entry.0 != known { race.enter(entry.0, entry.1) }
      return race.leader?.plan
    }
    let first = run(Self.recorded[0], after: nil)
    #expect(first == plan(12, 1))
    #expect(run(Self.recorded[1], after: first) == first)
    #expect(run(Self.recorded[1], after: nil) == plan(8, 1))
  }

  /// Of 128 x 1152 x 256 in the same two runs: the default stays, though something had a median
  /// below its own.
  @Test func theDefaultStaysAmongEquals() {
    for ratios in [
      [1.016, 1.055, 1.017, 1.026, 1.002, 1.005], [1.025, 0.970, 0.971, 1.012, 1.021],
    ] {
      let entries = ratios.enumerated().map { (rows: $0.offset + 1, ratios: [$0.element]) }
      #expect(winner(entries) == nil)
    }
  }

  @Test func whatIsClearlyFasterWins() {
    let fast = (rows: 8, ratios: [0.71, 0.70, 0.73, 0.69, 0.72])
    let slow = (rows: 4, ratios: [1.1, 1.2, 1.1, 1.15, 1.1])
    #expect(winner([slow, fast]) == plan(8))
    #expect(winner([fast, slow]) == plan(8))
    // Clearly faster than the leader, too.
    #expect(winner([fast, (rows: 12, ratios: [0.6, 0.61, 0.6, 0.6, 0.62])]) == plan(12))
  }

  /// Of equal ones the first stays, whether it is the default, a remembered choice or a candidate.
  @Test func lessThanFivePercentCountAsEqual() {
    #expect(winner([(rows: 4, ratios: [0.951, 0.951, 0.951])]) == nil)
    #expect(winner([(rows: 4, ratios: [0.949, 0.949, 0.949])]) == plan(4))
    let first = (rows: 8, ratios: [0.80, 0.80, 0.80])
    let equal = (rows: 12, ratios: [0.77, 0.77, 0.77])
    #expect(winner([first, equal]) == plan(8))
    #expect(winner([equal, first]) == plan(12))
    // The default's times are known even where it stays.
    var race = TuningRace()
    race.enter(plan(4), times([1.3, 1.3, 1.3]))
    #expect(race.leader == nil && race.standard?.ratio == 1)
  }

  /// What was clearly faster once stays while it is not slower, whether something else leads that
  /// does not hold its gain or not.
  @Test func whatIsRememberedStays() {
    var race = TuningRace()
    race.enterRemembered(plan(4), times([0.98, 0.98, 0.98]))
    race.enter(plan(6), times([0.94, 0.94, 0.94]))
    #expect(race.leader?.plan == plan(4))
    race.enter(plan(8), times([0.8, 0.8, 0.8]))
    #expect(race.leader?.plan == plan(8) && race.remembered?.plan == plan(4))
    var slower = TuningRace()
    slower.enterRemembered(plan(4), times([1.01, 1.01, 1.01]))
    #expect(slower.leader == nil && slower.remembered == nil)
  }
}
