package import KeelBackend

extension OpenCLBackend: FillBackend {
  package func fill(_ out: NDArray, with value: Float) throws(DeviceError) {
    let bits: UInt32 =
      switch out.dtype {
      case .float32: value.bitPattern
      case .int32: UInt32(bitPattern: Int32(clampingFinite: value))
      case .uint8: UInt32(UInt8(clampingFinite: value))
      case .float16, .bfloat16: UInt32(out.dtype.halfBits(value) ?? 0)
      }
    if try fillBytes(out, with: bits) { return }
    let width = isCPUClass ? 16 : 4
    let chunk = isCPUClass ? elementChunk(out.count) : width
    let items = ceilDivide(out.count, chunk)
    try launch(
      "fill", from: .fill,
      options: ["TYPE=\(out.dtype.storageName)", "KEEL_WIDTH=\(width)"],
      grid: isCPUClass ? .tiles(items) : .items(items, local: 128), out, bits, UInt64(out.count),
      UInt64(chunk))
  }
}

extension FixedWidthInteger {
  /// The number without its fraction, the nearest end of the range where it lies outside, 0 of
  /// NaN.
  fileprivate init(clampingFinite value: Float) {
    if value.isNaN {
      self = 0
    } else if value <= Float(Self.min) {
      self = .min
    } else if value >= Float(Self.max) {
      self = .max
    } else {
      self = Self(value)
    }
  }
}

extension DType {
  /// An unsigned type as wide as the element, for kernels that only move bits.
  var storageName: String {
    switch byteCount {
    case 4: "uint"
    case 2: "ushort"
    default: "uchar"
    }
  }
}
