import KeelBackend
import KeelData
import Testing

@Suite struct ImageTests {
  let ramp = GrayImage(width: 5, height: 3, pixels: (0..<15).map { UInt8($0 * 17) })

  @Test func whatIsWrittenIsRead() throws {
    let scratch = Scratch()
    try ramp.write(pngFile: scratch.file("ramp.png"))
    #expect(try GrayImage(pngFile: scratch.file("ramp.png")) == ramp)
    var numbers = TestNumbers(state: 9)
    let noise = GrayImage(width: 300, height: 200, pixels: numbers.bytes(60_000))
    #expect(try GrayImage(png: noise.png(), path: "noise") == noise)
  }

  @Test func badFilesAreNamed() throws {
    let png = try ramp.png()
    func kind(_ content: [UInt8]) -> DataError.Kind? {
      dataError { _ = try GrayImage(png: content, path: "bad.png") }?.kind
    }
    #expect(kind([]) == .malformed)
    #expect(kind(Array("GIF89a".utf8)) == .malformed)
    for length in 0..<(png.count - 12) {
      #expect(kind(Array(png[..<length])) == .malformed, "length \(length)")
    }
    // The width in the IHDR chunk, with its CRC made right again.
    var wide = png
    wide.replaceSubrange(16..<24, with: [0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF])
    wide.replaceSubrange(29..<33, with: crc(wide[12..<29]))
    #expect(kind(wide) == .tooLarge)
    #expect(dataError { _ = try GrayImage(pngFile: "/nowhere/digit.png") }?.kind == .missing)
  }

  @Test(arguments: [UInt64(11), 12])
  func noBytesTrap(seed: UInt64) throws {
    var numbers = TestNumbers(state: seed)
    let png = try ramp.png()
    for round in 0..<4000 {
      var content = numbers.mutated(png)
      if round % 2 == 0, content.count >= 33 {
        // A right checksum leads the reader into the changed header.
        content.replaceSubrange(29..<33, with: crc(content[12..<29]))
      }
      if let image = try? GrayImage(png: content, path: "fuzz") {
        #expect(image.pixels.count == image.width * image.height)
      }
    }
  }

  @Test func resizingAveragesAreas() {
    let image = GrayImage(width: 4, height: 2, pixels: [0, 100, 200, 50, 100, 200, 0, 50])
    #expect(image.resized(width: 2, height: 1).pixels == [100, 75])
    #expect(image.resized(width: 4, height: 2) == image)
    #expect(image.resized(width: 8, height: 4).resized(width: 4, height: 2) == image)
    #expect(
      GrayImage(width: 3, height: 1, pixels: [30, 60, 90]).resized(width: 2, height: 1).pixels == [
        40, 80,
      ])
    #expect(image.resized(width: 1, height: 1).pixels == [88])
  }

  @Test func brightBackgroundsAreInverted() throws {
    var page = [UInt8](repeating: 250, count: 56 * 56)
    for row in 10..<46 { for column in 26..<30 { page[row * 56 + column] = 10 } }
    let scan = GrayImage(width: 56, height: 56, pixels: page)
    let fitted = try scan.fitted(to: [28, 28, 1])
    #expect(fitted.width == 28 && fitted.height == 28)
    #expect(fitted.pixels[0] == 5)
    #expect(fitted.pixels[14 * 28 + 14] == 245)
    #expect(try scan.fitted(to: [28, 28, 1], invert: false).pixels[0] == 250)
    #expect(try scan.inverted.fitted(to: [28, 28, 1]) == fitted)
    #expect(dataError { _ = try scan.fitted(to: [28, 28, 3]) }?.kind == .mismatch)
    #expect(dataError { _ = try scan.fitted(to: [784]) }?.kind == .mismatch)
  }

  @Test func longPicturesAreSquaredWithTheirBackground() {
    let tall = GrayImage(width: 1, height: 3, pixels: [20, 40, 60])
    #expect(
      tall.squared == GrayImage(width: 3, height: 3, pixels: [40, 20, 40, 40, 40, 40, 40, 60, 40]))
  }

  /// Colour types of PNG: 0 grey, 2 red green blue, 4 grey with alpha, 6 colour with alpha.
  @Test func everyKindBecomesGrey() throws {
    func read(_ depth: UInt8, _ type: UInt8, _ pixels: [[UInt8]]) throws -> [UInt8] {
      let content = file(depth: depth, colorType: type, rows: [Array(pixels.joined())], width: 2)
      return try GrayImage(png: content, path: "kind").pixels
    }
    #expect(try read(8, 0, [[7], [200]]) == [7, 200])
    #expect(try read(16, 0, [[0, 0], [255, 255]]) == [0, 255])
    #expect(try read(8, 2, [[255, 255, 255], [0, 0, 0]]) == [255, 0])
    let green = try read(8, 2, [[0, 255, 0], [0, 0, 255]])
    #expect(green[0] > green[1])
    // Dark ink gets a white ground, bright ink a black one, whatever hides under alpha 0.
    #expect(try read(8, 4, [[10, 255], [99, 0]]) == [10, 255])
    #expect(try read(8, 4, [[240, 255], [99, 0]]) == [240, 0])
    #expect(try read(8, 6, [[0, 0, 0, 255], [9, 9, 9, 0]]) == [0, 255])
    #expect(try read(8, 4, [[0, 0], [0, 0]]) == [0, 0])
  }

  /// A PNG file made by hand, its rows stored without compression.
  func file(depth: UInt8, colorType: UInt8, rows: [[UInt8]], width: UInt8) -> [UInt8] {
    func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
      let content = Array(name.utf8) + body
      return [0, 0, 0, UInt8(body.count)] + content + crc(content[...])
    }
    let filtered: [UInt8] = rows.flatMap { row in [UInt8(0)] + row }
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in filtered {
      low = (low + UInt32(byte)) % 65521
      high = (high + low) % 65521
    }
    let count = UInt8(filtered.count)
    let sum = [high >> 8, high, low >> 8, low].map { UInt8(truncatingIfNeeded: $0) }
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
      + chunk("IHDR", [0, 0, 0, width, 0, 0, 0, UInt8(rows.count), depth, colorType, 0, 0, 0])
      + chunk("IDAT", [0x78, 1, 1, count, 0, ~count, 255] + filtered + sum)
      + chunk("IEND", [])
  }

  /// The CRC of PNG chunks (ISO 3309).
  func crc(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var sum: UInt32 = ~0
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
    return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: ~sum >> $0) }
  }
}
