import KeelData
import Testing

@Suite struct IDXTests {
  let small = IDXArray(extents: [3, 2, 4], bytes: (0..<24).map { UInt8($0 * 10) })

  @Test(arguments: ["images", "images.gz"])
  func whatIsWrittenIsRead(name: String) throws {
    let scratch = Scratch()
    try small.write(to: scratch.file(name))
    #expect(try IDXArray(file: scratch.file(name)) == small)
  }

  @Test func headerIsBigEndian() {
    #expect(
      small.encoded.prefix(16) == [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 4])
  }

  /// Damaged content, the fault it must give, and the byte it must name.
  static let damaged: [(name: String, content: [UInt8], kind: DataError.Kind, offset: Int?)] = {
    let header: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 4]
    return [
      ("empty", [], .empty, nil),
      ("two bytes", [0, 0], .malformed, 2),
      ("no extents", [0, 0, 8, 1, 0, 0], .malformed, 6),
      ("cut off", header + [1, 2, 3], .malformed, 8),
      ("trailing byte", header + [1, 2, 3, 4, 5], .malformed, 12),
      ("wrong magic", [1, 0, 8, 1, 0, 0, 0, 1, 7], .malformed, 0),
      ("web page", Array("<html>".utf8), .malformed, 0),
      ("floats", [0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0], .malformed, 2),
      ("unknown type", [0, 0, 0x42, 1, 0, 0, 0, 1, 0], .malformed, 2),
      ("no axes", [0, 0, 8, 0, 1], .malformed, 3),
      ("many axes", [0, 0, 8, 200, 1], .malformed, 3),
      ("no examples", [0, 0, 8, 1, 0, 0, 0, 0], .empty, 4),
      ("flat images", [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0], .empty, 8),
      ("four billion", [0, 0, 8, 1, 255, 255, 255, 255], .malformed, 8),
      ("overflow", [0, 0, 8, 4] + [UInt8](repeating: 255, count: 16), .tooLarge, 4),
    ]
  }()

  @Test(arguments: damaged.indices)
  func damageIsNamed(index: Int) throws {
    let (name, content, kind, offset) = Self.damaged[index]
    let error = dataError { _ = try IDXArray(parsing: content, path: "folder/\(name)") }
    #expect(error?.kind == kind)
    #expect(error?.offset == offset)
    #expect(error?.description.hasPrefix("folder/\(name)") == true)
  }

  /// The same damage inside a sound gzip file; offsets are those of the header.
  @Test(arguments: damaged.indices)
  func damageInsideGzipIsNamed(index: Int) throws {
    let (name, content, kind, _) = Self.damaged[index]
    let packed = try gzipped(content)
    let error = dataError { _ = try IDXArray(parsing: packed, path: name) }
    #expect(error?.kind == kind)
  }

  @Test func damageOfGzipIsNamed() throws {
    let packed = try gzipped(small.encoded)
    #expect(try IDXArray(parsing: packed, path: "") == small)
    for length in 2..<packed.count {
      let error = dataError { _ = try IDXArray(parsing: Array(packed[..<length]), path: "cut") }
      #expect(error?.kind == .malformed, "length \(length)")
    }
    #expect(dataError { _ = try IDXArray(parsing: packed + [0], path: "tail") }?.kind == .malformed)
    #expect(
      dataError { _ = try IDXArray(parsing: packed + packed, path: "twice") }?.kind == .malformed)
    var wrongSum = packed
    wrongSum[packed.count - 6] ^= 1
    #expect(dataError { _ = try IDXArray(parsing: wrongSum, path: "crc") }?.kind == .malformed)
  }

  /// A header that announces 4 GB in a file of some bytes must not allocate them.
  @Test func absurdExtentsAreRefusedByTheRatio() throws {
    let packed = try gzipped([0, 0, 8, 1, 255, 255, 255, 255, 1, 2, 3])
    let error = dataError { _ = try IDXArray(parsing: packed, path: "bomb") }
    #expect(error?.kind == .malformed)
    #expect(error?.problem.contains("4294967295") == true)
  }

  @Test func missingFilesAndFoldersAreNamed() {
    let scratch = Scratch()
    #expect(dataError { _ = try IDXArray(file: scratch.file("none")) }?.kind == .missing)
    #expect(dataError { _ = try IDXArray(file: scratch.path) }?.kind == .malformed)
    #expect(dataError { _ = try IDXArray(file: "/dev/zero") }?.kind == .malformed)
  }

  /// Whatever the bytes are: an array or a `DataError`, never a trap.
  @Test(arguments: [UInt64(1), 2, 3, 4])
  func noBytesTrap(seed: UInt64) throws {
    var numbers = TestNumbers(state: seed)
    let plain = small.encoded
    let packed = try gzipped(plain)
    for round in 0..<5000 {
      let content =
        switch round % 4 {
        case 0: numbers.bytes(Int(numbers.next() % 64))
        case 1: numbers.mutated(plain)
        case 2: try gzipped(numbers.mutated(plain))
        default: numbers.mutated(packed)
        }
      do {
        let array = try IDXArray(parsing: content, path: "fuzz")
        #expect(array.bytes.count == array.extents.reduce(1, *))
      } catch {
        #expect(!error.description.isEmpty)
      }
    }
  }
}
