/// The type of an array's elements.
public enum DType: String, Sendable, CaseIterable, Codable {
  case float32
  case int32
  case uint8
  /// IEEE 754 binary16: 11 bits of precision, from 2^-24 to 65504.
  case float16
  /// The upper half of a float32: 8 bits of precision, the range of float32.
  case bfloat16

  /// Bytes per element.
  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .uint8: 1
    }
  }

  /// Whether the elements are numbers with a fraction.
  public var isFloat: Bool {
    switch self {
    case .float32, .float16, .bfloat16: true
    case .int32, .uint8: false
    }
  }

  /// Whether the elements are float16 or bfloat16: kept in half the memory, computed with in
  /// float32.
  package var isHalf: Bool { self == .float16 || self == .bfloat16 }
}

/// A Swift type that is the element of an array on a device.
public protocol DeviceScalar: Sendable, BitwiseCopyable {
  /// The element type on the device.
  static var dtype: DType { get }
}

extension Float: DeviceScalar {
  /// `float32`.
  public static var dtype: DType { .float32 }
}
extension Int32: DeviceScalar {
  /// `int32`.
  public static var dtype: DType { .int32 }
}
extension UInt8: DeviceScalar {
  /// `uint8`.
  public static var dtype: DType { .uint8 }
}
