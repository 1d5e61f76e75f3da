internal import CKeelLoops
package import KeelBackend

extension CPUBackend: FillBackend {
  package func fill(_ out: NDArray, with value: Float) throws(DeviceError) {
    countLaunch()
    switch out.dtype {
    case .float32: fill(out, bits: value.bitPattern)
    case .int32: fill(out, bits: UInt32(bitPattern: CPUBackend.converted(value)))
    case .float16, .bfloat16:
      out.pointer(as: UInt16.self).update(
        repeating: out.dtype.halfBits(value) ?? 0, count: out.count)
    case .uint8:
      out.pointer(as: UInt8.self).update(
        repeating: CPUBackend.converted(value), count: out.count)
    }
  }

  private func fill(_ out: NDArray, bits: UInt32) {
    let words = out.pointer(as: UInt32.self)
    inParts(of: partSize, out.count) { begin, end in
      keel_fill32(words + begin, end - begin, bits)
    }
  }

  /// Towards zero, saturated; NaN becomes 0.
  private static func converted<Number: FixedWidthInteger>(_ value: Float) -> Number {
    if value.isNaN { return 0 }
    let wide = max(Double(Number.min), min(Double(Number.max), Double(value)))
    return Number(wide)
  }
}
