public import KeelBackend

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// How random numbers spread.
public enum RandomDistribution: Hashable, Sendable, Codable {
  /// low + (high - low) * u with u in [0, 1): the same bits on every device.
  case uniform(low: Float, high: Float)
  /// The normal distribution.
  case normal(mean: Float, deviation: Float)
  /// The normal distribution without what lies further than two deviations from the mean.
  case truncatedNormal(mean: Float, deviation: Float)

  /// Numbers made on the host, in Double and rounded once: a pure function of the key.
  ///
  /// Normal numbers come in pairs from two words each (Box & Muller, 1958); truncated ones are
  /// those within two deviations, in order.
  package func values(_ count: Int, key: RandomKey) -> [Float] {
    var words = RandomSequence(key)
    var values: [Float] = []
    values.reserveCapacity(count)
    switch self {
    case .uniform(let low, let high):
      for _ in 0..<count {
        let product = (high - low) * words.nextUniform()
        values.append(low + product)
      }
    case .normal(let mean, let deviation), .truncatedNormal(let mean, let deviation):
      var limit = Double.infinity
      if case .truncatedNormal = self { limit = 2 }
      while values.count < count {
        let pair = RandomDistribution.normalPair(&words)
        for number in [pair.0, pair.1] where abs(number) <= limit && values.count < count {
          values.append(Float(Double(mean) + Double(deviation) * number))
        }
      }
    }
    return values
  }

  private static func normalPair(_ words: inout RandomSequence) -> (Double, Double) {
    // In (0, 1]: the logarithm is finite.
    let first = (Double(words.nextWord()) + 1) * 0x1p-32
    let angle = 2 * Double.pi * Double(words.nextWord()) * 0x1p-32
    let radius = (-2 * log(first)).squareRoot()
    return (radius * cos(angle), radius * sin(angle))
  }

  fileprivate var isUsable: Bool {
    switch self {
    case .uniform(let low, let high):
      low.isFinite && high.isFinite && low <= high && (high - low).isFinite
    case .normal(let mean, let deviation), .truncatedNormal(let mean, let deviation):
      mean.isFinite && deviation.isFinite && deviation >= 0
    }
  }
}

extension Tensor {
  /// Random numbers, a pure function of the key: element i depends on (key, i) alone.
  ///
  /// Uniform numbers are made on the device; those that need a logarithm are made on the host
  /// and uploaded.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for an absurd shape, low > high, a negative deviation or
  ///   parameters that are not finite.
  public static func random(
    _ distribution: RandomDistribution, shape: Shape, key: RandomKey, on device: Device
  ) throws(TensorError) -> Tensor {
    try requireUsable(shape, "random")
    try requireWords(shape, "random")
    try require(
      distribution.isUsable, "random", "finite parameters in order", got: distribution)
    guard case .uniform(let low, let high) = distribution else {
      return try Tensor(
        distribution.values(shape.count, key: key), shape: shape, on: device)
    }
    let value = try compute(on: device, shape) { (out) throws(DeviceError) in
      try device.backend.randomUniform(key, low: low, high: high, into: out)
    }
    return Tensor(value: value, device: device, origin: .constant)
  }

  /// The words of a key's sequence: element i is word i, all 32 bits, as int32.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for an absurd shape.
  public static func randomBits(
    shape: Shape, key: RandomKey, on device: Device
  ) throws(TensorError) -> Tensor {
    try requireUsable(shape, "randomBits")
    try requireWords(shape, "randomBits")
    let value = try compute(on: device, shape, .int32) { (out) throws(DeviceError) in
      try device.backend.randomBits(key, into: out)
    }
    return Tensor(value: value, device: device, origin: .constant)
  }
}

/// Refuses more elements than a key has words: four for each 32-bit block number.
func requireWords(_ shape: Shape, _ operation: String) throws(TensorError) {
  guard shape.count <= 1 << 34 else {
    throw .shape(ShapeError(operation, requires: "at most 2^34 elements", got: shape))
  }
}
