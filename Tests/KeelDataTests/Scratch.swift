import FoundationEssentials
import Glibc
import KeelData

/// An empty folder of its own for a test, removed with it.
final class Scratch {
  let path: String

  init() {
    path = FileManager.default.temporaryDirectory.path + "/keel-data-\(UUID().uuidString)"
    do { try DataFile.makeFolder(path) } catch { fatalError("\(error)") }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func contains(_ name: String) -> Bool { DataFile.exists(file(name)) }
}

/// The error that `body` throws, or nil.
func dataError(_ body: () throws -> Void) -> DataError? {
  do {
    try body()
    return nil
  } catch {
    return error as? DataError
  }
}

/// Steele, Lea and Flood's SplitMix64 (2014): cheap numbers for inputs of tests.
struct TestNumbers: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }

  /// A copy with some bytes changed, cut off, doubled or put in.
  mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
    var copy = bytes
    for _ in 0...Int(next() % 3) where !copy.isEmpty {
      let place = Int(next() % UInt64(copy.count))
      switch next() % 6 {
      case 0: copy[place] = UInt8(truncatingIfNeeded: next())
      case 1: copy[place] ^= 1 << UInt8(next() % 8)
      case 2: copy.removeLast(copy.count - place)
      case 3: copy.insert(contentsOf: self.bytes(Int(next() % 5)), at: place)
      case 4: copy.remove(at: place)
      default: copy[place] = [0, 1, 0x7F, 0x80, 0xFF][Int(next() % 5)]
      }
    }
    return copy
  }
}
