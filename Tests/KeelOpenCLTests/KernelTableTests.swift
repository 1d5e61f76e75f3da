import Glibc
import KeelBackend
import KeelOpenCL
import Testing

@Suite("Kernel table")
struct KernelTableTests {
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
}
