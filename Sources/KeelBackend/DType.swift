/// The type of an array's elements.
public enum DType: String, Sendable, CaseIterable, Codable {
  case float32
  case int32
  case uint8

  /// Bytes per element.
  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .uint8: 1
    }
  }
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
