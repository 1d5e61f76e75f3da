package import KeelBackend

extension CPUBackend: StepControlBackend {
  package func beginStep(
    _ reading: TelescopeReading, loss: NDArray?, right: NDArray?, schedule: NDArray,
    firstUpdate: UInt64, _ rule: FaultRule, counters: NDArray, into decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    let (summary, loss) = (reading.summary.floats, loss?.floats[0] ?? 0)
    let faults: UnsafeMutablePointer<Int32> = reading.faults.pointer()
    let count: UnsafeMutablePointer<Int32> = counters.pointer()
    let row = count[CounterField.row.rawValue]
    let lastRow = schedule.count / 4 - 1
    let planned = schedule.pointer(as: SIMD4<Float>.self)[min(Int(row), lastRow)]

    let isLossBad = !loss.isFinite
    let isBad = faults[0] > 0 || isLossBad
    let verdict: StepVerdict
    if count[CounterField.halted.rawValue] != 0 {
      verdict = .halted
    } else if isBad, isLossBad || rule.action != .repair {
      verdict = .skipped
      count[CounterField.skipsInARow.rawValue] += 1
      count[CounterField.skips.rawValue] += 1
      let isTooOften = Int(count[CounterField.skipsInARow.rawValue]) > rule.maximumSkips
      if rule.action == .halt || isTooOften { count[CounterField.halted.rawValue] = 1 }
    } else {
      verdict = isBad ? .repaired : .applied
      count[CounterField.skipsInARow.rawValue] = 0
      count[CounterField.row.rawValue] = row + 1
    }

    decision.floats.update(repeating: 0, count: DecisionField.count)
    let fields: [(DecisionField, Float)] = [
      (.norm, summary[0]), (.coefficient, 1),
      (.applies, verdict == .applied || verdict == .repaired ? 1 : 0),
      (.learningRate, planned[0]), (.correction1, planned[1]), (.correction2, planned[2]),
      (.noise, planned[3]), (.largest, summary[1]), (.clippedNorm, summary[0]),
      (.faultyTensor, faults[0] == 0 && isLossBad ? -2 : Float(faults[1])),
      (.faults, Float(faults[0])), (.verdict, Float(verdict.rawValue)), (.factor, 1),
      (.updates, Float(firstUpdate + UInt64(row))), (.loss, loss),
      (.right, right?.floats[0] ?? 0),
    ]
    for (field, value) in fields { decision.floats[field.rawValue] = value }
  }
}
