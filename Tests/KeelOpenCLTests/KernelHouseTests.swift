import Glibc
import KeelBackend
import KeelOpenCL
import Testing

@Suite("Kernel files")
struct KernelHouseTests {
  /// `Kernels/Programs`, found from this file.
  private static let folder: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    return parts.joined(separator: "/") + "/Kernels/Programs"
  }()

  @Test("the embedded table is the folder")
  func table() throws {
    let directory = try #require(opendir(Self.folder))
    defer { closedir(directory) }
    var stems: Set<String> = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".cl") { stems.insert(String(name.dropLast(3))) }
    }
    #expect(stems == Set(KernelSource.embedded.keys))
    for operation in OperationName.allCases {
      #expect(KernelSource.embedded[operation.rawValue] != nil, "\(operation.rawValue)")
    }
  }

  @Test("every kernel is named after its file and has a header with the fixed fields")
  func headers() throws {
    let fields = ["Buffers", "Work", "Requires", "Numerics", "Launched", "Checked", "Why"]
    for (stem, source) in KernelSource.embedded where stem != "prelude" {
      let lines = source.text.split(separator: "\n", omittingEmptySubsequences: false)
      for (number, line) in lines.enumerated() {
        guard line.hasPrefix("__kernel") else { continue }
        let head = lines[number...].prefix(3).joined(separator: " ")
        let before = head.prefix { $0 != "(" || head.hasPrefix("__kernel __attribute__") }
        let words = before.split { $0 == " " || $0 == "(" }
        let place = try #require(words.firstIndex(of: "void"), "\(stem): \(line)")
        let function = String(words[place + 1])
        #expect(function.hasPrefix(stem), "\(function) in \(stem).cl")
        var header: [Substring] = []
        for above in lines[..<number].reversed() {
          if above.hasPrefix("//") { header.append(above) }
          if above.hasPrefix("// \(function) —") { break }
          if header.count > 40 { break }
        }
        #expect(header.last?.hasPrefix("// \(function) — ") == true, "header of \(function)")
        for field in fields {
          #expect(
            header.contains { $0.hasPrefix("// \(field) ") },
            "\(field) in the header of \(function)")
        }
      }
    }
  }
}
