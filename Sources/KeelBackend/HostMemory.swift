internal import Glibc

/// The memory of the machine, for devices that live in it.
package enum HostMemory {
  /// Requests from here on are worth asking the system about.
  package static let bigRequest = 16 << 20

  /// What the system says is available without swapping; nil where it says nothing.
  ///
  /// The system promises more than it has, so a big request is compared with this before it is
  /// made: the alternative is a process that is killed when it writes.
  package static var availableBytes: Int? {
    guard let file = fopen("/proc/meminfo", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard text.hasPrefix("MemAvailable:") else { continue }
      return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }
}
