import Testing

/// Sizes, names, imports and marks.
@Suite struct SourceTests {
  /// Files that may be longer, each with its reason.
  private static let longer: [String: String] = [:]

  @Test func filesAreShort() throws {
    var total = 0
    for file in try House.source() {
      let count = file.lines.count - 1
      total += count
      guard SourceTests.longer[file.path] == nil else { continue }
      #expect(count <= 400, "\(file.path) has \(count) lines")
    }
    print("house: \(total) lines")
  }

  @Test func linesAreNarrow() throws {
    for file in try House.source() {
      for (number, line) in file.lines.enumerated() where line.count > 100 {
        Issue.record("\(file.path):\(number + 1) has \(line.count) characters")
      }
    }
  }

  @Test func namesSayWhatIsInside() throws {
    for file in try House.source() {
      for word in ["Utils", "Utilities", "Helper", "Manager", "Common", "Misc"] {
        #expect(!file.name.contains(word), "\(file.path)")
      }
    }
  }

  /// Foundation brings 30 MB of tables into the static binary; FoundationEssentials does not.
  /// The tests of the command line start processes with it and are in no binary.
  @Test func foundationStaysOutside() throws {
    for file in try House.source()
    where file.path.hasSuffix(".swift") && !file.path.hasPrefix("Tests/KeelCommandTests/") {
      for (number, line) in file.lines.enumerated() {
        let words = line.split(separator: " ")
        guard let place = words.firstIndex(of: "import"), words.count > place + 1 else { continue }
        if words[place + 1] == "Foundation" {
          Issue.record("\(file.path):\(number + 1) imports Foundation")
        }
      }
    }
  }

  @Test func unsafeMarksSayWhatMakesThemSafe() throws {
    let marks = ["@unchecked" + " Sendable", "nonisolated" + "(unsafe)"]
    for file in try House.source() where file.path.hasSuffix(".swift") {
      let lines = file.lines
      for (number, line) in lines.enumerated() where marks.contains(where: line.contains) {
        let isComment = line.drop { $0 == " " }.hasPrefix("//")
        // Above the mark itself, or among the first lines of the type that carries it.
        let near = lines[max(0, number - 3)..<min(lines.count, number + 16)]
        let isExplained = near.contains { $0.drop { $0 == " " }.hasPrefix("// Safe:") }
        #expect(isComment || isExplained, "\(file.path):\(number + 1)")
      }
    }
  }

  /// Above the devices nobody asks which device it is.
  @Test func noQuestionsAfterTheDevice() throws {
    let floors = [
      "KeelAutograd", "KeelNN", "KeelData", "KeelCases", "KeelStability", "KeelTraining",
    ]
    for file in try House.files("Sources", ".swift") {
      guard floors.contains(where: { file.path.hasPrefix("Sources/\($0)/") }) else { continue }
      for (number, line) in file.lines.enumerated() {
        guard !line.drop(while: { $0 == " " }).hasPrefix("//") else { continue }
        let asks = line.contains("\"opencl") || line.contains("import KeelOpenCL")
        #expect(!asks && !line.contains("import KeelCPU"), "\(file.path):\(number + 1)")
      }
    }
  }
}
