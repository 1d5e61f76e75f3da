import KeelAutograd
import KeelBackend
import KeelNN

/// Two units to exchange.
struct UnitPair {
  var volatile: Int
  var calm: Int
}

/// Exchanges units in the memory of a model.
struct UnitExchange {
  private let model: Model
  private let units: HiddenUnits
  private let flip: DeadlyFlip

  init(_ model: Model, _ units: HiddenUnits, _ flip: DeadlyFlip) {
    self.model = model
    self.units = units
    self.flip = flip
  }

  /// Exchanges pairs in parameters, running statistics and, if they travel, moments.
  ///
  /// - Parameters:
  ///   - alongside: more arrays parallel to the parameters, which go with them.
  ///   - parameters: the parameters, where the host has read them before.
  mutating func run(
    _ pairs: [UnitPair], moments: [NDArray], alongside: [NDArray] = [],
    parameters: [Float]? = nil
  ) throws(TensorError) {
    let (arena, backend) = (model.arena, model.device.backend)
    var changed: [(NDArray, [Float])] = []
    let own = [arena.parameters] + alongside
    for (number, array) in (own + moments).enumerated() {
      let isMoment = number >= own.count
      if isMoment, flip.moments == .stay { continue }
      var values: [Float]
      if number == 0, let parameters {
        values = parameters
      } else {
        values = try onDevice { () throws(DeviceError) in try backend.scalars(array) }
      }
      for pair in pairs {
        if isMoment, flip.moments == .reset {
          clear(pair.calm, &values)
        } else {
          exchange(pair, &values)
        }
      }
      changed.append((array, values))
    }
    for site in units.sites {
      guard case .state(let number) = site.place, let tensor = model.states[number].tensor
      else { continue }
      var values = try tensor.scalars()
      for pair in pairs { exchangeColumns(pair, site, &values, from: 0) }
      changed.append((tensor.value, values))
    }
    try onDevice { () throws(DeviceError) in
      for (array, values) in changed { try backend.upload(values, to: array) }
    }
  }

  /// The sites of parameters, each with the place of its first number.
  private var parameterSites: [(site: UnitSite, first: Int)] {
    units.sites.compactMap { site in
      guard case .parameter(let number) = site.place,
        let place = model.parameters[number].place
      else { return nil }
      return (site, place.offset)
    }
  }

  private func exchange(_ pair: UnitPair, _ values: inout [Float]) {
    for (site, first) in parameterSites {
      exchangeColumns(pair, site, &values, from: first)
      // A depthwise filter has one row, which moves with its column.
      guard flip.mode != .incoming, site.isWeight, site.groups == 1 else { continue }
      let mine = site.inputs.indices.filter { site.inputs[$0] == pair.volatile }
      let theirs = site.inputs.indices.filter { site.inputs[$0] == pair.calm }
      for tap in 0..<site.taps {
        for (one, other) in zip(mine, theirs) {
          for column in 0..<site.columns {
            let start = first + tap * site.rows * site.columns + column
            values.swapAt(start + one * site.columns, start + other * site.columns)
          }
        }
      }
    }
  }

  private func exchangeColumns(
    _ pair: UnitPair, _ site: UnitSite, _ values: inout [Float], from first: Int
  ) {
    let mine = site.outputs.indices.filter { site.outputs[$0] == pair.volatile }
    let theirs = site.outputs.indices.filter { site.outputs[$0] == pair.calm }
    for (one, other) in zip(mine, theirs) {
      for row in 0..<(site.taps * site.rows) {
        let start = first + row * site.columns
        values.swapAt(start + one, start + other)
      }
    }
  }

  /// Sets everything of a unit to 0.
  private func clear(_ unit: Int, _ values: inout [Float]) {
    for (site, first) in parameterSites {
      for element in 0..<(site.taps * site.rows * site.columns) {
        let (row, column) = (element / site.columns % site.rows, element % site.columns)
        let makes = site.outputs[column] == unit
        if makes || site.isWeight && site.input(row: row, column: column) == unit {
          values[first + element] = 0
        }
      }
    }
  }
}
