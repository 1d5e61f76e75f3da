/// The extents of a recurrent layer over a batch of sequences.
package struct RecurrentGeometry: Hashable, Sendable {
  package var batch: Int
  package var steps: Int
  package var features: Int
  package var units: Int
  /// Whether time runs from the last step to the first.
  package var isReversed: Bool

  package init(batch: Int, steps: Int, features: Int, units: Int, isReversed: Bool) {
    self.batch = batch
    self.steps = steps
    self.features = features
    self.units = units
    self.isReversed = isReversed
  }

  /// Rows of all time steps.
  package var rows: Int { batch * steps }

  /// The time steps in the order of computation, each with the one before.
  package var order: [(time: Int, previous: Int?)] {
    let times = isReversed ? Array((0..<steps).reversed()) : Array(0..<steps)
    return times.indices.map { (times[$0], $0 == 0 ? nil : times[$0 - 1]) }
  }
}

extension RecurrentGeometry: CustomStringConvertible {
  /// Such as `128 x 28 steps, 28 to 128 units`.
  package var description: String { "\(batch) x \(steps) steps, \(features) to \(units) units" }
}
