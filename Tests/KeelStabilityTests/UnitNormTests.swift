import KeelBackend
import KeelStability
import Testing

/// Limits per unit: bounds that hold, bits that stay.
@Suite struct UnitNormTests {
  private func norms(_ x: [Float], _ columns: Int) -> [Double] {
    var squares = [Double](repeating: 0, count: columns)
    for i in x.indices { squares[i % columns] += Double(x[i]) * Double(x[i]) }
    return squares.map { $0.squareRoot() }
  }

  private func decision(_ device: Device, applies: Float = 1) throws -> NDArray {
    try device.backend.array(
      DecisionField.allCases.map {
        switch $0 {
        case .applies: applies
        case .coefficient, .factor: 1
        default: 0
        }
      } as [Float],
      shape: [DecisionField.count])
  }

  /// Columns of gradients of all sizes, 1e20 and 1e-24 among them.
  private func gradients(_ rows: Int, _ columns: Int) -> [Float] {
    let sizes: [Float] = [1, 1e20, 1e-24, 1e-3, 3e37, 30]
    return numbers(rows * columns, seed: 8).enumerated().map { i, x in
      x * sizes[i % columns % sizes.count]
    }
  }

  @Test(arguments: TestDevices.all, [(30, 17), (1, 6), (257, 1), (9, 130)])
  func everyUnitKeepsItsBound(_ device: Device, shape: (rows: Int, columns: Int)) throws {
    let (rows, columns) = shape
    let (ratio, floor) = (Float(0.01), Float(1e-3))
    let g = gradients(rows, columns)
    var w = numbers(rows * columns)
    // A unit without weights has the floor.
    for row in 0..<rows { w[row * columns] = 0 }
    let decision = try decision(device)
    let array = try device.backend.array(g, shape: [rows, columns])
    try device.backend.clipUnits(
      array, weights: device.backend.array(w, shape: [rows, columns]), ratio: ratio,
      floor: floor, decision: decision)
    let clipped: [Float] = try device.backend.scalars(array)
    let (before, after, lengths) = (norms(g, columns), norms(clipped, columns), norms(w, columns))
    var smallest = 1.0
    for unit in 0..<columns {
      let limit = Double(ratio) * max(lengths[unit], Double(floor))
      #expect(after[unit] <= limit)
      let column = stride(from: unit, to: g.count, by: columns)
      if before[unit] <= limit {
        #expect(column.allSatisfy { clipped[$0].bitPattern == g[$0].bitPattern })
      } else {
        #expect(after[unit] > limit * (1 - 1e-6))
        // The direction stays.
        let factor = limit / before[unit]
        smallest = min(smallest, factor)
        for i in column where abs(Double(g[i])) * factor > 1e-30 {
          #expect(abs(Double(clipped[i]) / (Double(g[i]) * factor) - 1) < 1e-6)
        }
      }
    }
    let fields: [Float] = try device.backend.scalars(decision)
    #expect(fields[DecisionField.verdict.rawValue] == Float(StepVerdict.clipped.rawValue))
    #expect(abs(Double(fields[DecisionField.factor.rawValue]) / smallest - 1) < 1e-5)
  }

  @Test(arguments: TestDevices.all) func nothingHappensWithinTheBound(_ device: Device) throws {
    let g = numbers(40)
    let array = try device.backend.array(g, shape: [8, 5])
    let weights = try device.backend.array(numbers(40, seed: 3), shape: [8, 5])
    for (ratio, applies) in [(100, 1), (0.01, 0)] as [(Float, Float)] {
      let decision = try decision(device, applies: applies)
      let fields: [Float] = try device.backend.scalars(decision)
      try device.backend.clipUnits(
        array, weights: weights, ratio: ratio, floor: 1e-3, decision: decision)
      #expect(try bits(device.backend.scalars(array)) == bits(g))
      #expect(try device.backend.scalars(decision) == fields)
    }
  }

  private func constrained(
    _ device: Device, _ w: [Float], _ columns: Int, _ constraint: UnitConstraint,
    times: Int = 1
  ) throws -> [Float] {
    let array = try device.backend.array(w, shape: [w.count / columns, columns])
    for _ in 0..<times {
      try device.backend.constrainUnits(array, constraint, decision: decision(device))
    }
    return try device.backend.scalars(array)
  }

  @Test(arguments: TestDevices.all) func theMaximumNormIsAMaximum(_ device: Device) throws {
    for (rows, columns) in [(30, 17), (300, 1), (5, 130)] {
      let w = gradients(rows, columns)
      let limit: Float = 3
      let result = try constrained(device, w, columns, .maximumNorm(limit))
      let (before, after) = (norms(w, columns), norms(result, columns))
      for unit in 0..<columns {
        #expect(after[unit] <= Double(limit))
        guard before[unit] <= Double(limit) else { continue }
        for i in stride(from: unit, to: w.count, by: columns) {
          #expect(result[i].bitPattern == w[i].bitPattern)
        }
      }
      let twice = try constrained(device, w, columns, .maximumNorm(limit), times: 2)
      #expect(bits(twice) == bits(result))
    }
  }

  @Test(arguments: TestDevices.all) func unitNormsAndSumsAreOne(_ device: Device) throws {
    for (rows, columns) in [(30, 17), (300, 1), (5, 130)] {
      let w = gradients(rows, columns)
      let unit = try constrained(device, w, columns, .unitNorm)
      for norm in norms(unit, columns) { #expect(abs(norm - 1) < 1e-6) }
      #expect(try bits(constrained(device, w, columns, .unitNorm, times: 2)) == bits(unit))
      let positive = w.map { abs($0) }
      let simplex = try constrained(device, positive, columns, .unitSum)
      for column in 0..<columns {
        let sum = stride(from: column, to: w.count, by: columns).reduce(0.0) {
          $0 + Double(simplex[$1])
        }
        #expect(abs(sum - 1) <= 1e-6)
      }
      #expect(
        try bits(constrained(device, positive, columns, .unitSum, times: 2)) == bits(simplex))
    }
    #expect(try constrained(device, zeros(6), 2, .unitNorm) == zeros(6))
  }
}
