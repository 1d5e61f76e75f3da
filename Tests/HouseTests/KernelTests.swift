import KeelBackend
import KeelCases
import Testing

/// Kernels introduce themselves, and every name leads to all of an operation's rooms.
@Suite struct KernelTests {
  struct Kernel {
    var name: String
    var file: House.File
    /// The lines of the comment above it, without slashes.
    var header: [String]
  }

  private static func kernels() throws -> [Kernel] {
    var found: [Kernel] = []
    for file in try House.files("Kernels/Programs", ".cl") {
      let lines = file.lines
      for (number, line) in lines.enumerated() where line.hasPrefix("__kernel") {
        // The name stands before the first parenthesis that opens a parameter list.
        let text = lines[number..<min(number + 4, lines.count)].joined(separator: " ")
        guard let end = text.firstRange(of: "void ")?.upperBound else { continue }
        let name = text[end...].prefix { $0 != "(" }
        // Macros of its own may stand between the comment and the kernel.
        var last = number
        while last > 0, lines[last - 1].hasPrefix("#") { last -= 1 }
        var first = last
        while first > 0, lines[first - 1].hasPrefix("//") { first -= 1 }
        let header = lines[first..<last].map { String($0.drop { $0 == "/" || $0 == " " }) }
        found.append(
          Kernel(name: String(name.filter { $0 != " " }), file: file, header: header))
      }
    }
    return found
  }

  @Test func everyKernelIntroducesItself() throws {
    let kernels = try KernelTests.kernels()
    #expect(kernels.count > 20)
    for kernel in kernels {
      let place = "\(kernel.name) in \(kernel.file.path)"
      #expect(
        kernel.header.contains { $0.hasPrefix("\(kernel.name) ") && $0.contains("—") },
        "\(place) lacks its formula")
      for field in ["Buffers", "Work", "Requires", "Numerics", "Launched", "Checked", "Why"] {
        #expect(
          kernel.header.contains { $0.hasPrefix("\(field) ") }, "\(place) lacks \(field)")
      }
      for line in kernel.header where line.hasPrefix("Launched ") || line.hasPrefix("Checked ") {
        let path = line.split(separator: " ").last.map(String.init) ?? ""
        #expect(House.exists(path), "\(place) names \(path)")
      }
    }
  }

  @Test func kernelsAreNamedAfterTheirOperation() throws {
    for kernel in try KernelTests.kernels() {
      let stem = OperationName.allCases.map(\.rawValue)
        .filter { kernel.file.name.hasPrefix($0) }.max { $0.count < $1.count }
      let operation = try #require(stem, "\(kernel.file.path) belongs to no operation")
      #expect(kernel.name.hasPrefix(operation), "\(kernel.name) in \(kernel.file.path)")
    }
  }

  @Test func everyKernelIsLaunched() throws {
    let launchers = try House.files("Sources/KeelOpenCL", ".swift").map(\.text).joined()
    for kernel in try KernelTests.kernels() {
      #expect(launchers.contains("\"\(kernel.name)"), "nobody launches \(kernel.name)")
    }
  }

  /// `gradient_telescope` is `GradientTelescope` in Swift, `convolution2d` is `Convolution2D`,
  /// `lstm` is `LSTM`, `gru` is `GRU`.
  private func stem(_ operation: OperationName) -> String {
    operation.rawValue.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }
      .joined().replacing("2d", with: "2D").replacing("Lstm", with: "LSTM").replacing(
        "Gru", with: "GRU")
  }

  @Test(arguments: OperationName.allCases)
  func everyOperationHasItsRooms(operation: OperationName) throws {
    let stem = stem(operation)
    let contract = try House.files("Sources/KeelBackend", ".swift").map(\.text).joined()
    #expect(contract.contains("protocol \(stem)Backend"), "contract of \(stem)")
    let cpu = try House.files("Sources/KeelCPU", ".swift").map(\.text).joined()
    #expect(cpu.contains("\(stem)Backend"), "CPU implementation of \(stem)")
    #expect(House.exists("Sources/KeelOpenCL/OpenCL\(stem).swift"))
    #expect(House.exists("Kernels/Programs/\(operation.rawValue).cl"))
    #expect(House.exists("Sources/KeelCases/\(stem)Cases.swift"))
  }
}
