import Glibc
import KeelBackend
import KeelNN

/// A sum of energies that scales of units move against each other:
/// E(k) = what is fixed + sum over edges of energy * 4^(k[tail] - k[head]).
///
/// With gradients, an edge leads from the unit that a weight reads to the unit that it makes, for
/// the gradient of W is multiplied by c(read) / c(made); with weights it is the other way. Unit 0
/// stands for what cannot move.
struct UnitEnergy {
  private(set) var tails: [Int32] = []
  private(set) var heads: [Int32] = []
  private(set) var energies: [Double] = []
  /// The energy of what no multiplier changes.
  private var fixed = 0.0

  private mutating func add(tail: Int, head: Int, _ energy: Double) {
    guard tail != head else {
      fixed += energy
      return
    }
    guard energy > 0 else { return }
    tails.append(Int32(tail))
    heads.append(Int32(head))
    energies.append(energy)
  }

  /// The energies of all parameters of `units`, from the squares of `values` (an arena's).
  init(_ values: [Float], of units: HiddenUnits, in model: Model, reversed: Bool) {
    var isKnown = [Bool](repeating: false, count: model.parameters.count)
    for site in units.sites {
      guard case .parameter(let number) = site.place,
        let place = model.parameters[number].place
      else { continue }
      isKnown[number] = true
      let first = place.offset
      if site.isWeight {
        addWeight(site, values, from: first, reversed)
      } else {
        for (column, unit) in site.outputs.enumerated() {
          let value = Double(values[first + column])
          addEdge(0, unit, value * value, reversed)
        }
      }
    }
    for (parameter, isKnown) in zip(model.parameters, isKnown) where !isKnown {
      guard let first = parameter.place?.offset else { continue }
      for value in values[first..<(first + parameter.shape.count)] {
        fixed += Double(value) * Double(value)
      }
    }
  }

  /// Edges with groups of units in place of units, added up.
  init(_ edges: UnitEnergy, groupOf: [Int], count: Int) {
    var sums: [Int: Double] = [:]
    for edge in edges.energies.indices {
      let tail = groupOf[Int(edges.tails[edge])]
      let head = groupOf[Int(edges.heads[edge])]
      sums[tail * count + head, default: 0] += edges.energies[edge]
    }
    for (key, energy) in sums.sorted(by: { $0.key < $1.key }) {
      add(tail: key / count, head: key % count, energy)
    }
  }

  private mutating func addEdge(_ read: Int, _ made: Int, _ energy: Double, _ reversed: Bool) {
    add(tail: reversed ? made : read, head: reversed ? read : made, energy)
  }

  /// Adds up over taps, and over inputs that are the same unit.
  private mutating func addWeight(
    _ site: UnitSite, _ values: [Float], from first: Int, _ reversed: Bool
  ) {
    var rankOf: [Int: Int] = [:]
    var distinct: [Int] = []
    let ranks = site.inputs.map { unit in
      if let rank = rankOf[unit] { return rank }
      rankOf[unit] = distinct.count
      distinct.append(unit)
      return distinct.count - 1
    }
    let (rows, columns) = (site.rows, site.columns)
    let perGroup = columns / site.groups
    var sums = [Double](repeating: 0, count: distinct.count * columns)
    for tap in 0..<site.taps {
      for row in 0..<rows {
        let start = first + (tap * rows + row) * columns
        for column in 0..<columns {
          let value = Double(values[start + column])
          sums[ranks[column / perGroup * rows + row] * columns + column] += value * value
        }
      }
    }
    for (rank, unit) in distinct.enumerated() {
      for column in 0..<columns {
        addEdge(unit, site.outputs[column], sums[rank * columns + column], reversed)
      }
    }
  }

  /// E(k).
  func total(_ exponents: [Double]) -> Double {
    var sum = fixed
    for edge in energies.indices {
      sum +=
        energies[edge]
        * exp2(2 * (exponents[Int(tails[edge])] - exponents[Int(heads[edge])]))
    }
    return sum
  }
}

/// Finds the exponents k that minimise a ``UnitEnergy``, one unit after the other until nothing
/// moves: E is convex in k, and the best k of one unit has a closed form,
/// c = 2^k = sqrt(a / b) with a^2 the energy that falls with c and b^2 the one that grows.
struct EquitySolver {
  private let edges: UnitEnergy
  /// Edges by head and by tail: unit u's are at starts[u] ..< starts[u + 1].
  private let (falling, fallingStarts): ([Int32], [Int])
  private let (growing, growingStarts): ([Int32], [Int])
  private let count: Int

  /// - Parameter count: of units, with the one numbered 0.
  init(_ edges: UnitEnergy, count: Int) {
    self.edges = edges
    self.count = count
    (falling, fallingStarts) = EquitySolver.sorted(edges.heads, count)
    (growing, growingStarts) = EquitySolver.sorted(edges.tails, count)
  }

  private static func sorted(_ units: [Int32], _ count: Int) -> ([Int32], [Int]) {
    var starts = [Int](repeating: 0, count: count + 1)
    for unit in units { starts[Int(unit) + 1] += 1 }
    for unit in 0..<count { starts[unit + 1] += starts[unit] }
    var next = starts
    var order = [Int32](repeating: 0, count: units.count)
    for (edge, unit) in units.enumerated() {
      order[next[Int(unit)]] = Int32(edge)
      next[Int(unit)] += 1
    }
    return (order, starts)
  }

  /// The squares of a and b of a unit when the others have the factors 4^k.
  func energies(of unit: Int, _ squares: [Double]) -> (falling: Double, growing: Double) {
    var (a, b) = (0.0, 0.0)
    for place in fallingStarts[unit]..<fallingStarts[unit + 1] {
      let edge = Int(falling[place])
      a += edges.energies[edge] * squares[Int(edges.tails[edge])]
    }
    for place in growingStarts[unit]..<growingStarts[unit + 1] {
      let edge = Int(growing[place])
      b += edges.energies[edge] / squares[Int(edges.heads[edge])]
    }
    return (a, b)
  }

  /// The best exponent of one unit when the others stay; nil where every one is as good, or none
  /// is the best: a unit without gradient, or that is used nowhere.
  func best(_ unit: Int, _ squares: [Double]) -> Double? {
    let (a, b) = energies(of: unit, squares)
    guard a > 0, b > 0, a.isFinite, b.isFinite else { return nil }
    return (log2(a) - log2(b)) / 4
  }

  /// Moves the units named until none moves by more than `tolerance`.
  func relax(
    _ exponents: inout [Double], _ units: [Int], sweeps: Int, tolerance: Double
  ) {
    var squares = exponents.map { exp2(2 * $0) }
    for sweep in 0..<sweeps {
      var largest = 0.0
      for unit in sweep % 2 == 0 ? units : units.reversed() {
        guard let next = best(unit, squares) else { continue }
        largest = max(largest, abs(next - exponents[unit]))
        exponents[unit] = next
        squares[unit] = exp2(2 * next)
      }
      if largest <= tolerance { return }
    }
  }

  /// Rounds, then moves whole steps as long as that lowers the energy: in the end no unit alone
  /// does better, which bounds each at 1.25 times the closed form.
  func round(_ exponents: inout [Double], _ units: [Int]) {
    for unit in units { exponents[unit] = exponents[unit].rounded() }
    var squares = exponents.map { exp2(2 * $0) }
    for _ in 0..<100 {
      var moved = false
      for unit in units {
        let (a, b) = energies(of: unit, squares)
        guard a > 0, b > 0, a.isFinite, b.isFinite else { continue }
        let next = ((log2(a) - log2(b)) / 4).rounded()
        let square = exp2(2 * next)
        guard a / square + b * square < (a / squares[unit] + b * squares[unit]) * (1 - 1e-9)
        else { continue }
        exponents[unit] = next
        squares[unit] = square
        moved = true
      }
      if !moved { return }
    }
  }
}
