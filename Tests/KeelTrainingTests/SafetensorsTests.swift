import KeelBackend
import KeelTraining
import Testing

@Suite struct SafetensorsTests {
  private static let sample = Safetensors(
    metadata: ["format": "test", "quote\"\n": "\u{1}ü\\"],
    entries: [
      .init(name: "a.weight", shape: [2, 3], floats: [1, -2, 0.5, .pi, 1e-38, 3]),
      .init(name: "labels", dtype: .int32, shape: [1], bytes: [1, 0, 0, 0]),
      .init(name: "pixels", dtype: .uint8, shape: [3], bytes: [9, 8, 7]),
      .init(name: "scalar", shape: .scalar, floats: [7]),
      .init(name: "empty", shape: [0, 4], floats: []),
    ])

  private func file(_ header: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
    let length = length ?? UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8) + data
  }

  private func refusal(_ bytes: [UInt8]) -> String {
    sentence { _ = try Safetensors(decoding: bytes, path: "f") }
  }

  @Test func whatIsWrittenIsRead() throws {
    let bytes = Self.sample.encoded()
    #expect(try Safetensors(decoding: bytes, path: "f") == Self.sample)
    let length = Int(bytes[0]) + Int(bytes[1]) << 8
    #expect((8 + length) % 8 == 0)
    #expect(Self.sample["a.weight"]?.floats[3] == .pi)
    #expect(try Safetensors(decoding: Safetensors().encoded(), path: "f") == Safetensors())
  }

  @Test func theFormatOfOtherWritersIsRead() throws {
    let header =
      "{\"b\":{\"shape\":[1,2],\"data_offsets\":[4,12],\"dtype\":\"F32\"},"
      + "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   "
    let data: [UInt8] = [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40]
    let read = try Safetensors(decoding: file(header, data: data), path: "f")
    #expect(read.entries.map(\.name) == ["a", "b"])
    #expect(read["a"]?.floats == [1] && read["b"]?.floats == [2, 3])
  }

  @Test func damageIsNamed() {
    func one(_ shape: String, _ offsets: String, dtype: String = "F32", _ count: Int) -> String {
      refusal(
        file(
          "{\"t\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}}",
          data: [UInt8](repeating: 0, count: count)))
    }
    #expect(refusal([1, 2]).contains("only 2 bytes"))
    #expect(refusal(file("{}", length: 1 << 62)).contains("claims 4611686018427387904"))
    #expect(refusal(file("{}", length: .max)).contains("claims"))
    #expect(refusal(file("{}", length: 50)).contains("is truncated"))
    #expect(refusal(file("[]")).contains("not a JSON object"))
    #expect(refusal(file("{\"a\":3}")).contains("not valid"))
    #expect(refusal(file("{\"a\":")).contains("not valid"))
    #expect(refusal(file("{}", data: [1])).contains("1 bytes after its last tensor"))
    #expect(one("[2]", "[0,8]", 7).contains("is truncated"))
    #expect(one("[2]", "[0,4]", 4).contains("needs 8 bytes"))
    #expect(one("[2]", "[4,12]", 12).contains("overlap or leave gaps"))
    #expect(one("[2]", "[8,0]", 8).contains("overlap or leave gaps"))
    #expect(one("[2]", "[0,8]", dtype: "F64", 8).contains("'F64' is not supported"))
    #expect(one("[-2]", "[0,8]", 8).contains("impossible shape"))
    #expect(one("[4611686018427387904,4]", "[0,8]", 8).contains("impossible shape"))
    #expect(one("[1,1,1,1,1,1,1,1,1]", "[0,4]", 4).contains("impossible shape"))
    #expect(one("[2.5]", "[0,8]", 8).contains("not valid"))
    #expect(one("[2]", "[0]", 8).contains("two offsets"))
    #expect(one("[2]", "[-8,0]", 8).contains("two offsets"))
    let twice =
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
      + "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}"
    #expect(refusal(file(twice, data: [1, 2, 3, 4, 5, 6])).contains("overlap"))
  }

  /// Any bytes give a file or an error, never a trap; what is read is written back the same.
  @Test func anyBytesAreSafe() throws {
    var random = RandomSequence(RandomKey(seed: 77, .user))
    let good = Self.sample.encoded()
    for round in 0..<6000 {
      var bytes = good
      switch round % 4 {
      case 0:
        for _ in 0...random.next(below: 4) {
          let place = Int(random.next(below: UInt32(bytes.count)))
          bytes[place] = UInt8(truncatingIfNeeded: random.nextWord())
        }
      case 1: bytes.removeLast(Int(random.next(below: UInt32(bytes.count + 1))))
      case 2:
        bytes = (0..<random.next(below: 200)).map { _ in
          UInt8(truncatingIfNeeded: random.nextWord())
        }
      default:
        // Digits for digits: the header stays JSON, its numbers change.
        for _ in 0...random.next(below: 3) {
          let place = Int(random.next(below: UInt32(bytes.count)))
          if (48...57).contains(bytes[place]) { bytes[place] = UInt8(48 + random.next(below: 10)) }
        }
      }
      guard let read = try? Safetensors(decoding: bytes, path: "f") else { continue }
      let again = try Safetensors(decoding: read.encoded(), path: "f")
      #expect(again == read)
    }
  }
}
