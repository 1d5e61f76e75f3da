internal import Glibc

/// Compiled programs on disk, so that a second process starts without compiling.
///
/// An entry is one file: a magic line, the key, the variants and the length in text lines, a
/// checksum, then the driver's binary. An entry that is damaged, or not of its key, is as good as
/// none: a driver may crash on a binary that is not its own.
package struct OpenCLBinaryCache: Sendable {
  /// The folder, or nil where there is none to write to.
  package let folder: String?

  package struct Entry: Equatable, Sendable {
    package var binary: [UInt8]
    /// What the binary is known to hold beside the program: (kernel, local size) pairs.
    package var variants: Set<String>
    package init(binary: [UInt8], variants: Set<String>) {
      self.binary = binary
      self.variants = variants
    }
  }

  private static let magic = "keel-program-1"

  /// A cache in `folder`; nil stores nothing.
  package init(folder: String?) { self.folder = folder }

  /// The cache that the environment names: `$KEEL_CACHE`, `$XDG_CACHE_HOME/keel` or
  /// `~/.cache/keel`. An empty `$KEEL_CACHE` turns it off.
  package static func standard() -> OpenCLBinaryCache {
    if let own = environment("KEEL_CACHE") {
      return OpenCLBinaryCache(folder: own.isEmpty ? nil : own + "/programs")
    }
    if let shared = environment("XDG_CACHE_HOME"), !shared.isEmpty {
      return OpenCLBinaryCache(folder: shared + "/keel/programs")
    }
    guard let home = environment("HOME"), !home.isEmpty else {
      return OpenCLBinaryCache(folder: nil)
    }
    return OpenCLBinaryCache(folder: home + "/.cache/keel/programs")
  }

  /// The file of an entry.
  package func path(name: String, key: String) -> String? {
    folder.map { "\($0)/\(name)-\(key).bin" }
  }

  /// The entry of `key`, if it is there and whole.
  package func load(name: String, key: String) -> Entry? {
    guard let path = path(name: name, key: key), let bytes = readFile(path) else { return nil }
    var rest = bytes[...]
    func line() -> String? {
      guard let end = rest.prefix(1 << 16).firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }
    guard line() == Self.magic, line() == key, let variants = line(),
      let length = line().flatMap({ Int($0) }), let checksum = line(), rest.count == length
    else { return nil }
    guard Self.checksum(key, variants, rest) == checksum else { return nil }
    return Entry(
      binary: Array(rest), variants: Set(variants.split(separator: " ").map(String.init)))
  }

  /// Writes an entry, whole or not at all. A cache that cannot be written is no error.
  package func store(_ entry: Entry, name: String, key: String) {
    guard let folder, let path = path(name: name, key: key) else { return }
    makeFolder(folder)
    let variants = entry.variants.sorted().joined(separator: " ")
    let checksum = Self.checksum(key, variants, entry.binary[...])
    let header = [Self.magic, key, variants, String(entry.binary.count), checksum, ""]
    let bytes = Array(header.joined(separator: "\n").utf8) + entry.binary
    let temporary = "\(path).\(getpid())"
    guard writeFile(bytes, temporary) else {
      unlink(temporary)
      return
    }
    if rename(temporary, path) != 0 { unlink(temporary) }
  }

  private static func checksum(
    _ key: String, _ variants: String, _ binary: ArraySlice<UInt8>
  ) -> String {
    var sum = Fingerprint()
    sum.add(key)
    sum.add(variants)
    binary.withUnsafeBufferPointer { sum.add($0) }
    return sum.text
  }
}

private func environment(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}

/// All bytes of a file that is not empty, or nil.
func readFile(_ path: String) -> [UInt8]? {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var status = stat()
  guard fstat(file, &status) == 0, status.st_size > 0 else { return nil }
  var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
  var done = 0
  while done < bytes.count {
    let count = bytes.withUnsafeMutableBytes {
      read(file, $0.baseAddress.map { $0 + done }, $0.count - done)
    }
    guard count > 0 else { return nil }
    done += count
  }
  return bytes
}

private func writeFile(_ bytes: [UInt8], _ path: String) -> Bool {
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard file >= 0 else { return false }
  var done = 0
  while done < bytes.count {
    let count = bytes.withUnsafeBytes {
      write(file, $0.baseAddress.map { $0 + done }, $0.count - done)
    }
    guard count > 0 else {
      close(file)
      return false
    }
    done += count
  }
  return close(file) == 0
}

/// Makes a folder and those above it.
private func makeFolder(_ path: String) {
  var part = ""
  for name in path.split(separator: "/", omittingEmptySubsequences: false) {
    part += part.isEmpty && name.isEmpty ? "/" : (part.isEmpty || part == "/" ? "" : "/") + name
    mkdir(part, 0o755)
  }
}
