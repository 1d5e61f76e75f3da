internal import Glibc
internal import KeelBackend

/// Noise uniform in an L2 ball, for perturbed gradient descent (Jin et al., 2017): a normal vector
/// shortened to radius * u^(1 / d), d being its count.
///
/// Made on the host, since logarithms and cosines differ between devices; the bits are the same
/// everywhere. Every call costs a pass over the elements and an upload.
package struct BallNoise: Sendable {
  /// The largest norm.
  package let radius: Float
  /// The seed of the run.
  package let seed: UInt64

  package init(radius: Float, seed: UInt64) {
    self.radius = radius
    self.seed = seed
  }

  /// The noise of an update for an arena of `count` elements: one vector over all `places`, 0
  /// elsewhere.
  package func values(at places: [Range<Int>], of count: Int, update: UInt64) -> [Float] {
    // Index 0 of the purpose is the uniform noise that devices make.
    var random = RandomSequence(RandomKey(seed: seed, .noise, index: 1, step: update))
    let dimensions = places.reduce(0) { $0 + $1.count }
    var noise = [Float](repeating: 0, count: count)
    guard dimensions > 0 else { return noise }
    let length = Double(radius) * pow(random.nextUnit(), 1 / Double(dimensions))
    var direction: [Double] = []
    direction.reserveCapacity(dimensions + 1)
    while direction.count < dimensions { direction += random.nextNormalPair() }
    var squares = 0.0
    for value in direction[..<dimensions] { squares += value * value }
    // A vector of zeros has no direction; it comes with a probability of 2^-53 per element.
    let scale = squares > 0 ? length / squares.squareRoot() : 0
    var next = 0
    for place in places {
      for i in place {
        noise[i] = Float(direction[next] * scale)
        next += 1
      }
    }
    return noise
  }
}

extension RandomSequence {
  /// A number in [0, 1) of 53 random bits.
  fileprivate mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Two independent standard normal numbers (Box & Muller, 1958).
  fileprivate mutating func nextNormalPair() -> [Double] {
    // 1 - u lies in (0, 1]: the logarithm is finite.
    let radius = (-2 * log(1 - nextUnit())).squareRoot()
    let angle = 2 * Double.pi * nextUnit()
    return [radius * cos(angle), radius * sin(angle)]
  }
}
