internal import CKeelLoops
package import KeelBackend

extension CPUBackend: UnitNormBackend {
  package func clipUnits(
    _ g: NDArray, weights: NDArray, ratio: Float, floor: Float, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard decision.number(.applies) != 0, g.count > 0 else { return }
    let (rows, columns) = (g.unitRows, g.unitColumns)
    let parts = ceilDivide(columns, unitPart)
    let storage = try scratch(parts, of: Float.self)
    let smallest: UnsafeMutablePointer<Float> = storage.pointer()
    let (gradients, w) = (g.floats, weights.floats)
    inParts(of: unitPart, columns) { begin, end in
      smallest[begin / unitPart] = keel_clip_units(
        gradients, w, rows, columns, ratio, floor, begin, end)
    }
    var factor: Float = 1
    for part in 0..<parts { factor = min(factor, smallest[part]) }
    guard factor < 1 else { return }
    let fields = decision.floats
    let (place, verdict) = (DecisionField.factor.rawValue, DecisionField.verdict.rawValue)
    fields[place] = min(fields[place], factor)
    if fields[verdict] == Float(StepVerdict.applied.rawValue) {
      fields[verdict] = Float(StepVerdict.clipped.rawValue)
    }
  }

  package func constrainUnits(
    _ weights: NDArray, _ constraint: UnitConstraint, decision: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard decision.number(.applies) != 0, weights.count > 0 else { return }
    let (rows, columns, w) = (weights.unitRows, weights.unitColumns, weights.floats)
    let (code, limit) = constraint.loopForm
    inParts(of: unitPart, columns) { begin, end in
      keel_constrain_units(w, rows, columns, code, limit, begin, end)
    }
  }
}

/// Columns that one thread takes: their parts of a row are whole lines of the cache.
private let unitPart = 64

/// The smallest whole number not below a / b.
private func ceilDivide(_ a: Int, _ b: Int) -> Int { (a + b - 1) / b }

extension NDArray {
  fileprivate var unitColumns: Int { shape.extents.last ?? 1 }
  fileprivate var unitRows: Int { count / unitColumns }
}

extension UnitConstraint {
  fileprivate var loopForm: (Int32, Float) {
    switch self {
    case .maximumNorm(let limit): (Int32(KEEL_MAXIMUM_NORM.rawValue), limit)
    case .unitNorm: (Int32(KEEL_UNIT_NORM.rawValue), 1)
    case .unitSum: (Int32(KEEL_UNIT_SUM.rawValue), 1)
    }
  }
}
