import KeelBackend
import KeelNN

extension HiddenUnits {
  /// Units any two of which can be exchanged.
  struct Interchangeable {
    /// The paths of the layers that make them.
    var layers: [String]
    var units: [Int]
  }

  /// The units that can be exchanged, by what they can be exchanged with: those of a layer, or of
  /// layers tied together, that live in the same tensors.
  func interchangeable() -> [Interchangeable] {
    // Where a unit lives: its family, then site, columns and rows of each site.
    var signatures = families.map { [$0] }
    for (number, site) in sites.enumerated() {
      let columns = Dictionary(grouping: site.outputs) { $0 }.mapValues(\.count)
      let rows = Dictionary(grouping: site.inputs) { $0 }.mapValues(\.count)
      for unit in Set(columns.keys).union(rows.keys) {
        signatures[unit] += [number, columns[unit] ?? 0, rows[unit] ?? 0]
      }
    }
    var placeOf: [[Int]: Int] = [:]
    var groups: [Interchangeable] = []
    for bank in banks {
      var seen: Set<Int> = []
      for unit in bank.units where isFree(unit) && seen.insert(unit).inserted {
        if let place = placeOf[signatures[unit]] {
          if groups[place].layers.last != bank.layer { groups[place].layers.append(bank.layer) }
          if !groups[place].units.contains(unit) { groups[place].units.append(unit) }
        } else {
          placeOf[signatures[unit]] = groups.count
          groups.append(Interchangeable(layers: [bank.layer], units: [unit]))
        }
      }
    }
    return groups.filter { $0.units.count > 1 }
  }
}
