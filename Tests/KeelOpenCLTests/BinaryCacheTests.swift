import Glibc
import KeelBackend
import KeelOpenCL
import Testing

@Suite("Program cache", .enabled(if: TestDevice.isUsable), .serialized)
struct BinaryCacheTests {
  /// Doubles an array on a fresh backend; returns how many programs were compiled from text.
  private func doubleOnce(_ folder: String?) throws -> Int {
    let backend = try TestDevice.fresh(cache: folder)
    let x = try backend.allocate([100], .float32)
    try backend.fill(x, with: 3)
    try backend.pointwise(.x * 2, [x], into: x)
    #expect(try backend.floats(x).allSatisfy { $0 == 6 })
    return backend.compilations
  }

  private func entries(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".bin") { names.append(name) }
    }
    return names.sorted()
  }

  private func bytes(_ path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "rb"))
    defer { fclose(file) }
    var bytes: [UInt8] = []
    while case let byte = fgetc(file), byte >= 0 { bytes.append(UInt8(byte)) }
    return bytes
  }

  private func write(_ bytes: [UInt8], _ path: String) throws {
    let file = try #require(fopen(path, "wb"))
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
  }

  @Test("a second process does not compile, a damaged entry is built anew and written again")
  func damagedEntry() throws {
    let folder = try temporaryFolder()
    #expect(try doubleOnce(folder) == 1)
    let name = try #require(entries(folder).first)
    #expect(entries(folder).count == 1)
    #expect(try doubleOnce(folder) == 0)
    let path = folder + "/" + name
    let whole = try bytes(path)
    for damage in ["flipped byte", "truncated", "empty", "other magic"] {
      var broken = whole
      switch damage {
      case "flipped byte": broken[whole.count - 100] ^= 1
      case "truncated": broken.removeLast(whole.count / 2)
      case "empty": broken = []
      default: broken[0] = UInt8(ascii: "x")
      }
      try write(broken, path)
      #expect(try doubleOnce(folder) == 1, "\(damage)")
      #expect(try doubleOnce(folder) == 0, "\(damage)")
    }
  }

  @Test("an entry of another key is not loaded, whatever its file's name")
  func foreignEntry() throws {
    let folder = try temporaryFolder()
    let cache = OpenCLBinaryCache(folder: folder)
    let entry = OpenCLBinaryCache.Entry(binary: [1, 2, 3], variants: ["a@1.1.1"])
    cache.store(entry, name: "fill", key: "one")
    #expect(cache.load(name: "fill", key: "one") == entry)
    let from = try #require(cache.path(name: "fill", key: "one"))
    let to = try #require(cache.path(name: "fill", key: "two"))
    #expect(rename(from, to) == 0)
    #expect(cache.load(name: "fill", key: "two") == nil)
  }

  @Test("a folder that cannot be written to, or none, is no error")
  func unwritable() throws {
    #expect(try doubleOnce("/proc/keel") == 1)
    #expect(try doubleOnce(nil) == 1)
  }
}
