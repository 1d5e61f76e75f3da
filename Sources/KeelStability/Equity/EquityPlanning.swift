import Glibc
import KeelBackend
import KeelNN

extension EquityTransform {
  /// Throws unless every layer that was named has units, all of which can be rescaled.
  func requireFoldable(in model: Model) throws(TensorError) {
    if layers != nil { try requireFoldable(HiddenUnits(model, .scaling), in: model) }
  }

  /// The same with the model's units at hand.
  func requireFoldable(_ units: HiddenUnits, in model: Model) throws(TensorError) {
    for name in layers ?? [] {
      guard let bank = units.banks.first(where: { $0.layer == name }) else {
        let known = units.banks.map(\.layer).joined(separator: ", ")
        throw .shape(
          ShapeError(
            "equity", requires: "the path of a layer with units of its own: \(known)",
            gotText: name))
      }
      if let reason = reason(bank, units) {
        throw .shape(
          ShapeError(
            bank.title, requires: "units that a multiplier can be folded into",
            gotText: "units that stay as they are: \(reason)"))
      }
    }
  }

  /// Whether a plan may give a unit another size.
  func canMove(_ unit: Int, _ units: HiddenUnits) -> Bool {
    if units.isFree(unit) { return true }
    guard unit != 0, beforeBatchNorm == .unitNorm, case .batchNormalization = units.obstacles[unit]
    else { return false }
    return true
  }

  /// Why some unit of a layer cannot be rescaled, or nil.
  private func reason(_ bank: HiddenUnits.Bank, _ units: HiddenUnits) -> String? {
    if bank.units.allSatisfy({ $0 == 0 }) { return "they are the network's output" }
    for unit in bank.units {
      switch units.obstacles[unit] {
      case nil: continue
      case .batchNormalization where beforeBatchNorm == .unitNorm: continue
      case .some(let obstacle): return obstacle.reason
      }
    }
    return nil
  }

  /// The numbers that a plan is made of. Waits for the device.
  ///
  /// - Parameter gradientSizes: what stands for the gradients, if not those of the last pass.
  func values(
    of model: Model, gradientSizes: NDArray? = nil
  ) throws(TensorError) -> [Float] {
    let arena = model.arena
    return try onDevice { () throws(DeviceError) in
      try model.device.backend.scalars(
        choice == .gradientBalancing ? gradientSizes ?? arena.gradients : arena.parameters)
    }
  }

  /// What is wrong with these numbers, or nil.
  func complaint(about values: [Float], _ model: Model) -> ShapeError? {
    let what = choice == .gradientBalancing ? "gradients" : "parameters"
    for parameter in model.parameters {
      guard let place = parameter.place else { continue }
      let range = place.offset..<(place.offset + parameter.shape.count)
      if let bad = values[range].first(where: { !$0.isFinite }) {
        return ShapeError(
          "equity", requires: "finite \(what)", gotText: "\(bad) in those of \(parameter.name)")
      }
    }
    if choice == .weightBalancing || values.contains(where: { $0 != 0 }) { return nil }
    return ShapeError(
      "equity", requires: "the gradients of a backward pass",
      gotText: "only zeros: use prepare(_:_:), or the choice by weights")
  }

  /// A plan from numbers that are usable.
  func plan(for model: Model, _ values: [Float]) throws(TensorError) -> EquityPlan {
    let units = HiddenUnits(model, .scaling)
    try requireFoldable(units, in: model)
    let edges = UnitEnergy(
      values, of: units, in: model, reversed: choice == .weightBalancing)
    return makePlan(units, edges, model, try normScales(units, model))
  }

  /// Whether a plan moves a unit by its energies.
  private func moves(_ unit: Int, _ units: HiddenUnits, _ named: Set<Int>?) -> Bool {
    units.isFree(unit) && named?.contains(unit) ?? true
  }

  func makePlan(
    _ units: HiddenUnits, _ edges: UnitEnergy, _ model: Model, _ normScales: [Int: Int]
  ) -> EquityPlan {
    let named = layers.map { names in
      Set(units.banks.filter { names.contains($0.layer) }.flatMap(\.units))
    }
    let chosen = (1..<(units.count + 1)).filter { moves($0, units, named) }
    let solver = EquitySolver(edges, count: units.count + 1)
    var exact = [Double](repeating: 0, count: units.count + 1)
    balanceFamilies(&exact, edges, units, chosen)
    solver.relax(&exact, chosen, sweeps: 300, tolerance: 1e-3)
    var rounded = exact
    solver.round(&rounded, chosen)
    var exponents = rounded.map { Int($0) }
    for (unit, exponent) in normScales where named?.contains(unit) ?? true {
      exponents[unit] = exponent
    }
    return EquityPlan(
      layers: recorded(units, solver, rounded, exponents),
      normBefore: edges.total([Double](repeating: 0, count: exact.count)).squareRoot(),
      normAfter: edges.total(rounded).squareRoot(),
      smallestNorm: edges.total(exact).squareRoot(),
      imbalance: imbalance(units, solver, chosen), exponents: exponents, units: units)
  }

  /// First one multiplier for all units of each family of layers: in a deep network the balance
  /// of its ends takes many sweeps to reach the middle, which are cheap here.
  private func balanceFamilies(
    _ exponents: inout [Double], _ edges: UnitEnergy, _ units: HiddenUnits, _ chosen: [Int]
  ) {
    var families = [Int](repeating: 0, count: units.count + 1)
    for unit in chosen { families[unit] = units.families[unit] }
    let count = (families.max() ?? 0) + 1
    let coarse = EquitySolver(
      UnitEnergy(edges, groupOf: families, count: count), count: count)
    var common = [Double](repeating: 0, count: count)
    coarse.relax(&common, Array(1..<count), sweeps: 5000, tolerance: 1e-6)
    for unit in chosen { exponents[unit] = common[families[unit]] }
  }

  /// Every layer's multipliers: those that are folded, and those that would be best alone where
  /// nothing can be folded.
  private func recorded(
    _ units: HiddenUnits, _ solver: EquitySolver, _ rounded: [Double], _ exponents: [Int]
  ) -> [EquityPlan.Layer] {
    let squares = rounded.map { exp2(2 * $0) }
    return units.banks.compactMap { bank in
      guard !bank.units.allSatisfy({ $0 == 0 }) else { return nil }
      let reason = reason(bank, units)
      return EquityPlan.Layer(
        name: bank.layer,
        exponents: bank.units.map { unit in
          guard reason != nil, unit != 0, !units.isFree(unit) else { return exponents[unit] }
          return Int((solver.best(unit, squares) ?? 0).rounded())
        },
        wrappedBecause: reason)
    }
  }

  /// The largest ratio of what falls to what grows, over families of layers.
  private func imbalance(
    _ units: HiddenUnits, _ solver: EquitySolver, _ chosen: [Int]
  ) -> Double {
    let ones = [Double](repeating: 1, count: units.count + 1)
    var sums: [Int: (falling: Double, growing: Double)] = [:]
    for unit in chosen {
      let (falling, growing) = solver.energies(of: unit, ones)
      sums[units.families[unit], default: (0, 0)].falling += falling
      sums[units.families[unit], default: (0, 0)].growing += growing
    }
    return sums.values.map { sum in
      let (low, high) = (min(sum.falling, sum.growing), max(sum.falling, sum.growing))
      return high == 0 ? 1 : (high / low).squareRoot()
    }.max() ?? 1
  }

  /// The exponents that give filters before a batch normalisation a norm of about 1, if that is
  /// asked for.
  func normScales(_ units: HiddenUnits, _ model: Model) throws(TensorError) -> [Int: Int] {
    guard beforeBatchNorm == .unitNorm else { return [:] }
    let values: [Float] = try onDevice { () throws(DeviceError) in
      try model.device.backend.scalars(model.arena.parameters)
    }
    var squares = [Double](repeating: 0, count: units.count + 1)
    var isUsed = [Bool](repeating: false, count: units.count + 1)
    for site in units.sites where site.isWeight {
      guard case .parameter(let number) = site.place,
        let first = model.parameters[number].place?.offset
      else { continue }
      for unit in site.inputs { isUsed[unit] = true }
      for element in 0..<(site.taps * site.rows * site.columns) {
        let value = Double(values[first + element])
        squares[site.outputs[element % site.columns]] += value * value
      }
    }
    var scales: [Int: Int] = [:]
    for unit in 1..<(units.count + 1) where !isUsed[unit] {
      guard case .batchNormalization = units.obstacles[unit] else { continue }
      guard squares[unit] > 0, squares[unit].isFinite else { continue }
      scales[unit] = Int((-log2(squares[unit]) / 2).rounded())
    }
    return scales
  }
}
