internal import KeelBackend

/// Index arithmetic of the oracles: plain, slow, and unlike what devices do.
enum Broadcast {
  /// For every element of `target` in order, the flat place in an array of shape `shape` that
  /// broadcasts to it.
  static func places(of shape: Shape, in target: Shape) -> [Int] {
    var places: [Int] = []
    places.reserveCapacity(target.count)
    for flat in 0..<target.count {
      var rest = flat
      var place = 0
      var step = 1
      for back in 0..<target.rank {
        let axis = target.rank - 1 - back
        let coordinate = rest % target[axis]
        rest /= target[axis]
        let own = shape.rank - 1 - back
        if own >= 0 {
          if shape[own] != 1 { place += coordinate * step }
          step *= shape[own]
        }
      }
      places.append(place)
    }
    return places
  }

  /// The coordinates of a flat place, outermost first.
  static func coordinates(_ flat: Int, in shape: Shape) -> [Int] {
    var rest = flat
    var coordinates = [Int](repeating: 0, count: shape.rank)
    for axis in stride(from: shape.rank - 1, through: 0, by: -1) {
      coordinates[axis] = rest % shape[axis]
      rest /= shape[axis]
    }
    return coordinates
  }

  /// The flat place of coordinates.
  static func place(_ coordinates: [Int], in shape: Shape) -> Int {
    var place = 0
    for axis in 0..<shape.rank { place = place * shape[axis] + coordinates[axis] }
    return place
  }
}
