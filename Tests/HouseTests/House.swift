import FoundationEssentials
import Testing

/// The files of the checkout.
enum House {
  static let root: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(3)
    return parts.joined(separator: "/")
  }()

  struct File: Sendable {
    /// Relative to the root.
    var path: String
    var text: String

    var name: String { String(path.split(separator: "/").last ?? "") }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
  }

  /// Every file under a folder whose name ends in one of the endings.
  static func files(_ folder: String, _ endings: String...) throws -> [File] {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(folder)")
    return try paths.sorted().filter { path in endings.contains { path.hasSuffix($0) } }.map {
      let data = try #require(FileManager.default.contents(atPath: "\(root)/\(folder)/\($0)"))
      return File(path: "\(folder)/\($0)", text: String(decoding: data, as: UTF8.self))
    }
  }

  /// All that people wrote: not what the generator of messages did.
  static func source() throws -> [File] {
    try files("Sources", ".swift", ".c", ".h").filter { !$0.path.hasSuffix(".pb.swift") }
      + files("Benchmarks", ".swift") + files("Tests", ".swift")
      + files("Kernels", ".cl", ".c", ".h")
  }

  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(root)/\(path)")
  }
}
