/// A message in the wire format of Protocol Buffers: fields one after the other, each with its
/// number and the kind of its value.
struct ProtobufMessage {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ field: Int, integer value: Int64) {
    tag(field, 0)
    varint(UInt64(bitPattern: value))
  }

  mutating func add(_ field: Int, double value: Double) {
    tag(field, 1)
    fixed(value.bitPattern)
  }

  mutating func add(_ field: Int, float value: Float) {
    tag(field, 5)
    fixed(value.bitPattern)
  }

  mutating func add(_ field: Int, text: String) { add(field, raw: Array(text.utf8)) }

  mutating func add(_ field: Int, message: ProtobufMessage) { add(field, raw: message.bytes) }

  /// Numbers of a repeated field, packed.
  mutating func add(_ field: Int, doubles values: [Double]) {
    var packed = ProtobufMessage()
    for value in values { packed.fixed(value.bitPattern) }
    add(field, raw: packed.bytes)
  }

  private mutating func add(_ field: Int, raw: [UInt8]) {
    tag(field, 2)
    varint(UInt64(raw.count))
    bytes += raw
  }

  private mutating func tag(_ field: Int, _ kind: Int) { varint(UInt64(field << 3 | kind)) }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func fixed<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
  }
}
