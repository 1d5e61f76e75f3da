import FoundationEssentials
import KeelBackend
import KeelStability
import Testing

@Suite struct ScheduleTests {
  /// Every kind, with its factors at some counts of updates in closed form.
  static let tables: [(schedule: Schedule, factors: [(UInt64, Double)])] = [
    (.constant, [(0, 1), (7, 1)]),
    (.step(every: 30, factor: 0.1), [(0, 1), (29, 1), (30, 0.1), (59, 0.1), (60, 0.01)]),
    (
      .multiStep(at: [10, 15], factor: 0.5),
      [(0, 1), (9, 1), (10, 0.5), (14, 0.5), (15, 0.25), (1000, 0.25)]
    ),
    (.exponential(factor: 0.9), [(0, 1), (1, 0.9), (3, 0.729)]),
    (.exponential(factor: 0.25, every: 10), [(0, 1), (5, 0.5), (10, 0.25), (20, 0.0625)]),
    (.polynomial(updates: 10, power: 2), [(0, 1), (5, 0.25), (9, 0.01), (10, 0), (11, 0)]),
    (.polynomial(updates: 4, power: 0.5, end: 0.2), [(0, 1), (3, 0.6), (4, 0.2), (9, 0.2)]),
    (.linear(updates: 4), [(0, 1), (1, 0.75), (2, 0.5), (4, 0), (5, 0)]),
    (.linear(updates: 4, end: 3), [(0, 1), (2, 2), (4, 3), (9, 3)]),
    (
      .cosine(updates: 12),
      [(0, 1), (2, 0.5 + 3.0.squareRoot() / 4), (4, 0.75), (6, 0.5), (8, 0.25), (12, 0), (13, 0)]
    ),
    (.cosine(updates: 6, end: 0.1), [(0, 1), (3, 0.55), (6, 0.1), (600, 0.1)]),
    (
      .cosineRestarts(period: 6),
      [(0, 1), (2, 0.75), (3, 0.5), (6, 1), (8, 0.75), (12, 1), (15, 0.5)]
    ),
    (
      .cosineRestarts(period: 3, multiplier: 2, end: 0.2),
      [(0, 1), (2, 0.4), (3, 1), (6, 0.6), (9, 1), (15, 0.6), (21, 1), (33, 0.6), (45, 1)]
    ),
    (
      .warmup(updates: 4, then: .linear(updates: 4)),
      [(0, 0.25), (1, 0.5), (3, 1), (4, 1), (5, 0.75), (8, 0), (100, 0)]
    ),
    (
      .warmup(updates: 2, start: 0.5, then: .constant), [(0, 0.75), (1, 1), (2, 1)]
    ),
    (
      .oneCycle(updates: 100, startDivisor: 10, endDivisor: 100),
      [(0, 0.1), (45, 1), (15, 0.4), (30, 0.7), (60, 0.7), (90, 0.1), (95, 0.0505), (100, 0.001)]
    ),
    (
      .noam(modelWidth: 4, warmup: 16),
      [(0, 1.0 / 128), (7, 1.0 / 16), (15, 1.0 / 8), (63, 1.0 / 16), (255, 1.0 / 32)]
    ),
    (.inverseSquareRoot(warmup: 4), [(0, 0.25), (3, 1), (15, 0.5), (63, 0.25)]),
  ]

  @Test func factorsAreTheClosedForms() {
    for (schedule, factors) in ScheduleTests.tables {
      for (updates, expected) in factors {
        let factor = schedule.factor(at: updates)
        #expect(abs(factor - expected) <= 4e-16, "\(schedule) at \(updates): \(factor)")
      }
    }
  }

  @Test func hugeCountsGiveFiniteFactors() {
    for (schedule, _) in ScheduleTests.tables {
      for updates in [UInt64.max, UInt64.max - 1, UInt64(1) << 63, UInt64(1) << 40] {
        let factor = schedule.factor(at: updates)
        #expect(factor.isFinite && factor >= 0, "\(schedule) at \(updates): \(factor)")
      }
    }
    let long = Schedule.cosineRestarts(period: .max, multiplier: .max)
    #expect(long.factor(at: .max).isFinite)
    #expect(Schedule.step(every: 1, factor: 0.5).factor(at: .max) == 0)
    // Not validated, still total.
    #expect(Schedule.step(every: 0, factor: 0.5).factor(at: 3) == 0.125)
    #expect(Schedule.cosine(updates: -4).factor(at: 3) == 0)
    #expect(Schedule.cosineRestarts(period: 0, multiplier: 0).factor(at: 3) == 1)
  }

  @Test func decaysNeverRise() {
    let decays: [Schedule] = [
      .constant, .step(every: 7, factor: 0.3), .multiStep(at: [3, 90], factor: 0.1),
      .exponential(factor: 0.97), .polynomial(updates: 80, power: 3, end: 0.01),
      .linear(updates: 80), .cosine(updates: 80, end: 0.1),
    ]
    for schedule in decays {
      for updates in UInt64(0)..<100 {
        #expect(
          schedule.factor(at: updates + 1) <= schedule.factor(at: updates),
          "\(schedule) at \(updates)")
      }
    }
    let rising = [
      Schedule.warmup(updates: 50, then: .constant), .noam(modelWidth: 8, warmup: 50),
      .oneCycle(updates: 200),
    ]
    for schedule in rising {
      for updates in UInt64(0)..<49 {
        #expect(schedule.factor(at: updates + 1) > schedule.factor(at: updates), "\(schedule)")
      }
    }
  }

  @Test func textAndJSONRoundTrip() throws {
    for (schedule, _) in ScheduleTests.tables {
      #expect(try Schedule(parsing: schedule.description) == schedule)
      let data = try JSONEncoder().encode([schedule])
      #expect(try JSONDecoder().decode([Schedule].self, from: data) == [schedule])
    }
    #expect(try Schedule(parsing: "cosine:1000") == .cosine(updates: 1000))
    #expect(try Schedule(parsing: "step:30,0.1") == .step(every: 30, factor: 0.1))
    #expect(try Schedule(parsing: "onecycle:90") == .oneCycle(updates: 90))
    #expect(try Schedule(parsing: "restarts:10,2") == .cosineRestarts(period: 10, multiplier: 2))
    #expect(
      try Schedule(parsing: "warmup:100,cosine:1000")
        == .warmup(updates: 100, then: .cosine(updates: 1000)))
    #expect(
      try Schedule(parsing: "warmup:5e,0.01,multistep:30e,60e,0.1", updatesPerEpoch: 10)
        == .warmup(updates: 50, start: 0.01, then: .multiStep(at: [300, 600], factor: 0.1)))
  }

  @Test(arguments: [
    "", "cosin:10", "cosine", "cosine:", "cosine:1.5", "cosine:ten", "cosine:0", "cosine:-1",
    "cosine:10,nan", "cosine:10,-1", "step:30", "step:0,0.1", "step:30,0", "step:30,1.5",
    "step:30,inf", "multistep:0.1", "multistep:20,10,0.1", "multistep:5,5,0.1", "warmup:100",
    "warmup:100,", "warmup:100,0.5", "warmup:0,constant", "warmup:5,warmup:5,constant",
    "warmup:x,constant", "onecycle:10,0,1", "onecycle:10,2", "noam:0,5", "noam:512",
    "inverse-sqrt:0", "constant:1", "constant:", "polynomial:10,0", "cosine:10e", "cosine:10,,",
    "restarts:10,0", "cosine:99999999999999999999",
  ])
  func textThatIsNotASchedule(_ text: String) throws {
    let error = #expect(throws: TensorError.self) { try Schedule(parsing: text) }
    let sentence = "\(try #require(error))"
    #expect(sentence.contains("schedule") && sentence.contains("requires"), "\(sentence)")
    #expect(!sentence.contains("\n"))
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode([Schedule].self, from: Data("[\"\(text)\"]".utf8))
    }
  }

  @Test func errorsListTheAcceptedForms() {
    let schedule = #expect(throws: TensorError.self) { try Schedule(parsing: "cosin:10") }
    let rate = #expect(throws: TensorError.self) { try Schedule.learningRate(parsing: "fast") }
    for form in Schedule.forms {
      #expect("\(String(describing: schedule))".contains(form))
      #expect("\(String(describing: rate))".contains(form))
    }
    for text in ["nan", "inf", "0", "-0.1", "", "0,1"] {
      #expect(throws: TensorError.self) { try Schedule.learningRate(parsing: text) }
    }
  }

  @Test func learningRateFromText() throws {
    #expect(try Schedule.learningRate(parsing: "0.05") == 0.05)
  }
}

@Suite struct PlateauReducerTests {
  /// In which epochs a reducer fires.
  private func fires(_ reducer: inout PlateauReducer, _ values: [Double]) -> [Bool] {
    var fired: [Bool] = []
    for value in values { fired.append(reducer.observe(value)) }
    return fired
  }

  @Test func firesAfterExactlyPatienceEpochs() throws {
    for patience in 1...4 {
      var reducer = try PlateauReducer(patience: patience, factor: 0.5)
      let calm = [Bool](repeating: false, count: patience - 1)
      let same = [Double](repeating: 1, count: patience)
      #expect(fires(&reducer, [1] + same) == [false] + calm + [true])
      #expect(reducer.rateFactor == 0.5 && reducer.reductions == 1)
      #expect(fires(&reducer, same) == calm + [true])
      #expect(reducer.rateFactor == 0.25 && reducer.reductions == 2)
    }
  }

  @Test func countsInARowAndRelativeToTheThreshold() throws {
    var reducer = try PlateauReducer(patience: 2, factor: 0.1, threshold: 0.1)
    // 0.95 is within 10 % of 1, and 0.79 of 0.8; 0.8 and 0.7 start the count again.
    #expect(
      fires(&reducer, [1, 0.95, 0.8, 0.79, 0.7, .nan, 0.69])
        == [false, false, false, false, false, false, true])
    #expect(reducer.best == 0.7)
    var accuracy = try PlateauReducer(.validationAccuracy, patience: 1)
    #expect(fires(&accuracy, [0.5, 0.6, 0.55]) == [false, false, true])
  }

  @Test func cooldownAndMinimum() throws {
    var reducer = try PlateauReducer(patience: 1, factor: 0.1, cooldown: 2, minimum: 0.05)
    #expect(
      fires(&reducer, [1, 1, 1, 1, 1, 1, 1, 1])
        == [false, true, false, false, true, false, false, false])
    #expect(reducer.rateFactor == 0.05 && reducer.reductions == 2)
  }

  @Test func resumesFromJSON() throws {
    let values = [1, 0.9, 0.95, 0.95, .infinity, 0.5, 0.6, 0.6, 0.6, 0.6]
    var whole = try PlateauReducer(patience: 2, factor: 0.5, cooldown: 1)
    let fired = fires(&whole, values)
    #expect(whole.reductions == 2)
    for split in values.indices {
      var first = try PlateauReducer(patience: 2, factor: 0.5, cooldown: 1)
      let before = fires(&first, Array(values[..<split]))
      var second = try JSONDecoder().decode(
        PlateauReducer.self, from: try JSONEncoder().encode(first))
      #expect(before + fires(&second, Array(values[split...])) == fired)
      #expect(second == whole)
    }
  }

  @Test func refusesWhatCannotBe() throws {
    #expect(throws: TensorError.self) { try PlateauReducer(patience: 0) }
    #expect(throws: TensorError.self) { try PlateauReducer(factor: 1) }
    #expect(throws: TensorError.self) { try PlateauReducer(factor: .nan) }
    #expect(throws: TensorError.self) { try PlateauReducer(cooldown: -1) }
    #expect(throws: TensorError.self) { try PlateauReducer(minimum: .infinity) }
    #expect(throws: TensorError.self) { try PlateauReducer(threshold: -1) }
    #expect(throws: TensorError.self) { try PlateauReducer(parsing: "plateau:often") }
    let parsed = try PlateauReducer(parsing: "plateau:5,0.5", metric: .loss)
    #expect(parsed.patience == 5 && parsed.factor == 0.5 && parsed.metric == .loss)
    #expect(try PlateauReducer(parsing: "plateau:3").factor == 0.1)
  }

  @Test func linearScalingRule() throws {
    let rule = try LinearScalingRule(baseRate: 0.1, baseBatch: 256)
    #expect(try rule.learningRate(batch: 256) == 0.1)
    #expect(try rule.learningRate(batch: 8192) == 3.2)
    #expect(try rule.learningRate(batch: 64) == 0.025)
    #expect(throws: TensorError.self) { try rule.learningRate(batch: 0) }
    #expect(throws: TensorError.self) { try LinearScalingRule(baseRate: .nan, baseBatch: 1) }
    #expect(throws: TensorError.self) { try LinearScalingRule(baseRate: 0.1, baseBatch: 0) }
  }
}
