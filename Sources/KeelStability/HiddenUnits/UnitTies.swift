/// Units that turn out to be the same, while a network is walked: sets that only merge, with what
/// is known of each (Tarjan, 1975).
struct UnitTies {
  private var parents = [0]
  private var obstacles: [HiddenUnits.Obstacle?] = [nil]

  /// How many units were made, with the one numbered 0, which is not a unit.
  var count: Int { parents.count }

  /// Units of their own.
  mutating func make(_ number: Int) -> [Int] {
    let first = parents.count
    parents.append(contentsOf: first..<(first + number))
    obstacles.append(contentsOf: repeatElement(nil, count: number))
    return Array(first..<(first + number))
  }

  /// The unit that stands for a set.
  func root(of unit: Int) -> Int {
    var unit = unit
    while parents[unit] != unit { unit = parents[unit] }
    return unit
  }

  /// Makes two units one. The smaller number stands for both, so that nothing moves 0.
  mutating func tie(_ first: Int, _ second: Int) {
    let (a, b) = (root(of: first), root(of: second))
    guard a != b else { return }
    let (low, high) = (min(a, b), max(a, b))
    if let obstacle = obstacles[high] { block(low, obstacle) }
    parents[high] = low
    // Paths stay short: networks tie a stream again and again.
    parents[first] = low
    parents[second] = low
  }

  /// Remembers why a unit cannot take part.
  mutating func block(_ unit: Int, _ obstacle: HiddenUnits.Obstacle) {
    let root = root(of: unit)
    guard root != 0 else { return }
    obstacles[root] = obstacles[root].map { max($0, obstacle) } ?? obstacle
  }

  /// For each made unit its number among the sets, from 0; and what obstructs each set.
  func numbered() -> (numbers: [Int], obstacles: [HiddenUnits.Obstacle?]) {
    var numbers = [Int](repeating: 0, count: count)
    var kept: [HiddenUnits.Obstacle?] = []
    for unit in 0..<count {
      let root = root(of: unit)
      if root == unit {
        numbers[unit] = kept.count
        kept.append(obstacles[unit])
      } else {
        numbers[unit] = numbers[root]
      }
    }
    return (numbers, kept)
  }
}
