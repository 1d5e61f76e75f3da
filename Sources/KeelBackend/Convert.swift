/// Changing the type of elements between float32 and one of 16 bits.
package protocol ConvertBackend {
  /// out[i] = x[i] in the other type.
  ///
  /// To 16 bits: rounded to the nearest, ties to the even one; what is too large becomes infinity,
  /// what is too small for a normal number of float16 becomes a subnormal one, and a NaN the quiet
  /// NaN of its sign. To float32: exact.
  ///
  /// - Parameters:
  ///   - x, out: equal shapes; one is float32, the other float16 or bfloat16.
  func convert(_ x: NDArray, into out: NDArray) throws(DeviceError)
}

extension DType {
  /// The bits of a number in a 16-bit type, as `convert` gives them; nil of other types.
  package func halfBits(_ value: Float) -> UInt16? {
    let bits = value.bitPattern
    let sign = UInt16(bits >> 16) & 0x8000
    switch self {
    case .float16: return value.isNaN ? sign | 0x7E00 : Float16(value).bitPattern
    case .bfloat16:
      if value.isNaN { return sign | 0x7FC0 }
      return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    case .float32, .int32, .uint8: return nil
    }
  }

  /// The number that bits of a 16-bit type stand for; nil of other types.
  package func number(halfBits bits: UInt16) -> Float? {
    switch self {
    case .float16: Float(Float16(bitPattern: bits))
    case .bfloat16: Float(bitPattern: UInt32(bits) << 16)
    case .float32, .int32, .uint8: nil
    }
  }
}
