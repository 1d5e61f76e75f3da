import KeelBackend
import KeelCPU

/// Numbers in [-1, 1) that are the same in every run.
func numbers(_ count: Int, seed: UInt64 = 1) -> [Float] {
  var sequence = RandomSequence(RandomKey(seed: seed, .user))
  return (0..<count).map { _ in sequence.nextUniform() * 2 - 1 }
}

/// The distance between a result and the true value, in units of the last place of float32.
func ulps(_ result: Float, _ truth: Double) -> Double {
  if truth.isNaN { return result.isNaN ? 0 : .infinity }
  if result.isNaN { return .infinity }
  let rounded = Float(truth)
  if rounded.isInfinite || result.isInfinite {
    if rounded == result { return 0 }
    // An overflow may come one unit early or late.
    let edge = Double(Float.greatestFiniteMagnitude)
    return abs(abs(truth) - edge) <= edge * 0x1p-22 ? 1 : .infinity
  }
  let spacing = max(Double(rounded.ulp), 0x1p-149)
  return abs(Double(result) - truth) / spacing
}

/// Bit patterns of results, for tests of equality to the bit.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

extension CPUBackend {
  func floats(_ values: [Float], _ shape: Shape) throws(DeviceError) -> NDArray {
    try array(values, shape: shape)
  }

  func empty(_ shape: Shape) throws(DeviceError) -> NDArray {
    let array = try allocate(shape, .float32)
    // Every result must be written: what was there before is not a number.
    try fill(array, with: .nan)
    return array
  }

  func values(_ array: NDArray) throws(DeviceError) -> [Float] { try scalars(array) }
}
