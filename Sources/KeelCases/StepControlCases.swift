internal import KeelAutograd
internal import KeelBackend

/// Decisions on steps: every verdict, every rule, the ends of schedules.
enum StepControlCases {
  private struct Start: Sendable {
    var faults: [Int32] = [0, -1]
    var loss: Float? = 0.5
    var right: Float?
    var rule = FaultRule(.skip, maximumSkips: 3)
    /// Row, skips in a row, halted, skips.
    var counters: [Int32] = [1, 0, 0, 4]
    var firstUpdate: UInt64 = 0
  }

  /// Gradients whose norm and largest magnitude are exact, and a limit for them.
  private struct Scan: Sendable {
    var gradients: [Float] = [3, 0, -4, 0]
    var limit: ClipRule?
    var loss: Float? = 0.5
    var counters: [Int32] = [1, 2, 0, 4]
    var rule = FaultRule(.skip, maximumSkips: 3)
  }

  private static let repair = FaultRule(.repair, maximumSkips: 3)
  private static let halt = FaultRule(.halt, maximumSkips: 3)

  static let all: [OperationCase] = [
    check("applied", Start()),
    check("applied_without_loss", Start(loss: nil)),
    check("applied_with_right_answers", Start(right: 117)),
    check("right_answers_without_loss", Start(faults: [3, 2], loss: nil, right: 3)),
    check("applied_ends_a_row_of_skips", Start(counters: [1, 3, 0, 9])),
    check("first_update", Start(counters: [0, 0, 0, 0])),
    check("last_row", Start(counters: [2, 0, 0, 0])),
    check("beyond_the_last_row", Start(counters: [7, 0, 0, 0])),
    check("updates_beyond_32_bits", Start(firstUpdate: 1 << 33)),
    check("skipped", Start(faults: [3, 2])),
    check("skipped_at_the_maximum", Start(faults: [3, 0], counters: [1, 2, 0, 5])),
    check("skipped_too_often", Start(faults: [3, 2], counters: [1, 3, 0, 5])),
    check("skipped_no_skip_allowed", Start(faults: [1, 5], rule: .init(.skip, maximumSkips: 0))),
    check("loss_nan", Start(loss: .nan)),
    check("loss_infinite", Start(loss: -.infinity)),
    check("loss_and_gradients", Start(faults: [2, 1], loss: .nan)),
    check("halt", Start(faults: [1, 0], rule: halt)),
    check("halt_loss", Start(loss: .nan, rule: halt)),
    check("halt_nothing_wrong", Start(rule: halt)),
    check("halted", Start(counters: [2, 1, 1, 1])),
    check("halted_and_bad", Start(faults: [4, 1], loss: .nan, counters: [2, 1, 1, 1])),
    check("repaired", Start(faults: [6, 1], rule: repair, counters: [1, 2, 0, 2])),
    check("repair_nothing_wrong", Start(rule: repair)),
    check("repair_cannot_repair_a_loss", Start(faults: [6, 1], loss: .infinity, rule: repair)),
    check("repair_loss_too_often", Start(loss: .nan, rule: repair, counters: [0, 3, 0, 3])),
    scan("scan", Scan()),
    scan("scan_norm_limit", Scan(limit: .globalNorm(2.5))),
    scan("scan_norm_below_its_limit", Scan(limit: .globalNorm(5))),
    scan("scan_largest_limit", Scan(limit: .globalMaxAbs(1))),
    scan("scan_infinite_norm_limit", Scan(gradients: [3, -.infinity], limit: .globalNorm(1))),
    scan("scan_nan", Scan(gradients: [.nan, 1, 2], limit: .globalNorm(1))),
    scan("scan_loss_nan", Scan(limit: .globalNorm(1), loss: .nan)),
    scan("scan_halted", Scan(limit: .globalNorm(1), counters: [2, 1, 1, 1])),
    scan(
      "scan_repaired", Scan(gradients: [.nan, 1, 2], limit: .globalMaxAbs(1), rule: repair)),
  ]

  private static func scan(_ label: String, _ scan: Scan) -> OperationCase {
    OperationCase(
      .stepControl, label,
      inputs: [
        CaseInput([scan.gradients.count], .repeating(scan.gradients)),
        CaseInput([1], .repeating([scan.loss ?? 0])), CaseInput([3, 4], .repeating(schedule)),
        CaseInput([4], .integers(scan.counters)),
      ],
      tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        try t.direct([[DecisionField.count], [2]]) { (backend, out) throws(DeviceError) in
          let table = try TelescopeTable([(offset: 0, count: scan.gradients.count)], on: backend)
          let reading = try TelescopeReading(tensors: 1, on: backend)
          let start = StepStart(
            loss: scan.loss == nil ? nil : t[1].value, right: t[1].value, schedule: t[2].value,
            firstUpdate: 0,
            scan.rule, counters: t[3].value)
          try backend.beginStep(
            scanning: t[0].value, table, wantsHistogram: false, start, limit: scan.limit,
            into: reading, decision: out[0])
          try backend.pointwise(.x, [reading.summary], into: out[1])
        } + [t[3]]
      },
      oracles: { oracle($0, scan) })
  }

  /// What ``decide(_:_:)`` says of the same numbers, and the limit.
  private static func oracle(_ t: [[Double]], _ scan: Scan) -> [[Double]] {
    let (g, bad) = (t[0], t[0].count { !$0.isFinite })
    let isNaN = g.contains(where: \.isNaN)
    let largest = isNaN ? .nan : g.map(abs).max() ?? 0
    let norm = bad > 0 ? largest : g.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let start = Start(loss: scan.loss, right: scan.loss ?? 0, rule: scan.rule)
    var results = decide(
      [[norm, largest], [Double(bad), bad > 0 ? 0 : -1], t[1], t[2], t[3], t[1]], start)
    func field(_ field: DecisionField) -> Int { field.rawValue }
    let (measure, limit): (Double, Double) =
      switch scan.limit {
      case .globalNorm(let limit): (norm, Double(limit))
      case .globalMaxAbs(let limit): (largest, Double(limit))
      default: (0, 1)
      }
    if results[0][field(.applies)] == 1, measure > limit {
      let factor = limit / measure
      results[0][field(.coefficient)] = factor
      results[0][field(.factor)] = factor
      results[0][field(.clippedNorm)] = factor * norm
      if results[0][field(.verdict)] == Double(StepVerdict.applied.rawValue) {
        results[0][field(.verdict)] = Double(StepVerdict.clipped.rawValue)
      }
    }
    return [results[0], [norm, largest], results[1]]
  }

  /// Learning rate, corrections, noise of three updates.
  private static let schedule: [Float] = [
    0.1, 10, 1000, 0.5, 0.05, 5.25, 500, 0.25, 0.025, 3.5, 333, 0.125,
  ]

  private static func check(_ label: String, _ start: Start) -> OperationCase {
    OperationCase(
      .stepControl, label,
      inputs: [
        CaseInput([2], .uniform(1, 2)), CaseInput([2], .integers(start.faults)),
        CaseInput([1], .repeating([start.loss ?? 0])), CaseInput([3, 4], .repeating(schedule)),
        CaseInput([4], .integers(start.counters)), CaseInput([1], .repeating([start.right ?? 0])),
      ],
      tolerance: .exact,
      outputs: { (t) throws(TensorError) in
        let decision = try t.direct([[DecisionField.count]]) { (backend, out) throws(DeviceError) in
          let unread = try TelescopeReading(tensors: 1, on: backend)
          try backend.beginStep(
            TelescopeReading(
              statistics: unread.statistics, counts: unread.counts, histogram: unread.histogram,
              summary: t[0].value, faults: t[1].value),
            loss: start.loss == nil ? nil : t[2].value,
            right: start.right == nil ? nil : t[5].value, schedule: t[3].value,
            firstUpdate: start.firstUpdate, start.rule, counters: t[4].value, into: out[0])
        }
        return decision + [t[4]]
      },
      oracles: { decide($0, start) })
  }

  private static func decide(_ t: [[Double]], _ start: Start) -> [[Double]] {
    var (counters, decision) = (t[4], [Double](repeating: 0, count: DecisionField.count))
    let (faults, lossIsBad) = (t[1][0], start.loss.map { !$0.isFinite } ?? false)
    let row = Int(min(counters[0], 2))
    func set(_ field: DecisionField, _ value: Double) { decision[field.rawValue] = value }
    set(.norm, t[0][0])
    if start.loss != nil { set(.loss, t[2][0]) }
    if start.right != nil { set(.right, t[5][0]) }
    set(.clippedNorm, t[0][0])
    set(.largest, t[0][1])
    set(.coefficient, 1)
    set(.factor, 1)
    for (offset, field) in [DecisionField.learningRate, .correction1, .correction2, .noise]
      .enumerated()
    { set(field, t[3][4 * row + offset]) }
    set(.faults, faults)
    set(.faultyTensor, faults > 0 ? t[1][1] : lossIsBad ? -2 : -1)
    set(.updates, Double(start.firstUpdate) + counters[0])
    let verdict: StepVerdict
    switch (counters[2] != 0, faults > 0, lossIsBad) {
    case (true, _, _): verdict = .halted
    case (_, false, false): verdict = .applied
    case (_, true, false) where start.rule.action == .repair: verdict = .repaired
    default: verdict = .skipped
    }
    set(.verdict, Double(verdict.rawValue))
    switch verdict {
    case .applied, .repaired, .clipped:
      set(.applies, 1)
      counters[0] += 1
      counters[1] = 0
    case .skipped:
      counters[1] += 1
      counters[3] += 1
      let isTooOften = counters[1] > Double(start.rule.maximumSkips)
      if start.rule.action == .halt || isTooOften { counters[2] = 1 }
    case .halted: break
    }
    return [decision, counters]
  }
}
