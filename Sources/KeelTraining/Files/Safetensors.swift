public import KeelBackend

/// Named tensors in one file, in the safetensors format: eight bytes that hold the length of a
/// JSON header (little-endian), the header, then the tensors' bytes one after the other.
public struct Safetensors: Hashable, Sendable {
  /// A tensor of the file.
  public struct Entry: Hashable, Sendable {
    /// Its name.
    public var name: String
    /// The type of its elements.
    public var dtype: DType
    /// Its shape.
    public var shape: Shape
    /// Its elements, row-major, little-endian.
    public var bytes: [UInt8]

    /// A tensor; requires as many bytes as the shape has.
    public init(name: String, dtype: DType, shape: Shape, bytes: [UInt8]) {
      precondition(bytes.count == shape.count * dtype.byteCount)
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.bytes = bytes
    }

    /// A tensor of float32.
    public init(name: String, shape: Shape, floats: some Sequence<Float>) {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(shape.count * 4)
      for value in floats {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
      }
      self.init(name: name, dtype: .float32, shape: shape, bytes: bytes)
    }

    /// Its elements; requires float32.
    public var floats: [Float] {
      precondition(dtype == .float32)
      return bytes.withUnsafeBytes { all in
        (0..<shape.count).map { i in
          let bits = all.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)
          return Float(bitPattern: UInt32(littleEndian: bits))
        }
      }
    }
  }

  /// Texts by name.
  public var metadata: [String: String]
  /// The tensors, in the order of the file.
  public var entries: [Entry]

  /// A file of the given parts.
  public init(metadata: [String: String] = [:], entries: [Entry] = []) {
    self.metadata = metadata
    self.entries = entries
  }

  /// The tensor of a name.
  public subscript(name: String) -> Entry? { entries.first { $0.name == name } }

  /// The longest header that is read, in bytes: as in the format's reference.
  package static let largestHeader = 100_000_000

  /// The bytes of the file. The header is filled up with blanks so that tensors start aligned.
  public func encoded() -> [UInt8] {
    var header = "{"
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key < $1.key }.map {
        "\(quoted($0.key)):\(quoted($0.value))"
      }
      header += "\"__metadata__\":{\(texts.joined(separator: ","))}"
    }
    var offset = 0
    for entry in entries {
      if header.utf8.count > 1 { header += "," }
      let extents = entry.shape.extents.map(String.init).joined(separator: ",")
      header += "\(quoted(entry.name)):{\"dtype\":\"\(entry.dtype.safetensorsName)\","
      header += "\"shape\":[\(extents)],"
      header += "\"data_offsets\":[\(offset),\(offset + entry.bytes.count)]}"
      offset += entry.bytes.count
    }
    header += "}"
    while header.utf8.count % 8 != 0 { header += " " }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(8 + header.utf8.count + offset)
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: header.utf8)
    for entry in entries { bytes.append(contentsOf: entry.bytes) }
    return bytes
  }
}

extension DType {
  /// The name of the type in a safetensors header.
  var safetensorsName: String {
    switch self {
    case .float32: "F32"
    case .int32: "I32"
    case .uint8: "U8"
    case .float16: "F16"
    case .bfloat16: "BF16"
    }
  }
}

/// A JSON string.
private func quoted(_ text: String) -> String {
  var json = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": json += "\\\""
    case "\\": json += "\\\\"
    case "\n": json += "\\n"
    case "\r": json += "\\r"
    case "\t": json += "\\t"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      json += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: json.unicodeScalars.append(scalar)
    }
  }
  return json + "\""
}
