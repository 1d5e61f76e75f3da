import Foundation
import Testing

/// `keel lint`, and what `keel train` says before its first step.
@Suite struct LintCommandTests {
  private static let options = Array(Workbench.training.dropFirst())

  @Test("Without faults there is nothing to say, and nothing is written")
  func findsNothing() throws {
    let bench = Workbench()
    let outcome = try bench.keel(["lint"] + Self.options)
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output == "0 errors, 0 warnings\n" && outcome.complaint.isEmpty)
    #expect(try bench.names() == [])
    let plain = try bench.keel("lint", "--device", "cpu", "--train", "200", "--test", "50")
    #expect(plain.output == "0 errors, 0 warnings\n", "\(plain.transcript)")
  }

  @Test("Errors end with exit code 1, as lines or as JSON; a training does not begin")
  func findsErrors() throws {
    let bench = Workbench()
    let zeros = Self.options + ["--init", "zeros"]
    let outcome = try bench.keel(["lint"] + zeros)
    #expect(outcome.status == 1, "\(outcome.transcript)")
    #expect(outcome.output.contains("error: dense1: the weights of dense1 and dense2"))
    let json = try bench.keel(["lint", "--json"] + zeros)
    #expect(json.status == 1)
    let list = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: String]]
    #expect(list?.map { $0["rule"] } == ["zero-init-symmetry"], "\(json.transcript)")
    let training = try bench.keel(["train"] + zeros)
    expectRefusal(training, saying: "zero-init-symmetry")
    #expect(try bench.names() == [])
  }

  @Test("A training prints warnings to standard error unless it is told not to")
  func warns() throws {
    let bench = Workbench()
    let wild = ["train"] + Self.options + ["--lr", "1"]
    let told = try bench.keel(wild)
    #expect(told.status == 0)
    #expect(
      told.complaint.split(separator: "\n").filter { $0.hasPrefix("warning: ") }.count == 1,
      "\(told.transcript)")
    let quiet = try bench.keel(wild + ["--no-lint"])
    #expect(quiet.status == 0 && !quiet.complaint.contains("warning: "))
    let strict = try bench.keel(wild + ["--strict"])
    #expect(strict.status == 2 && strict.complaint.contains("learning-rate-gain"))
    #expect(try bench.keel(["lint", "--strict"] + wild.dropFirst()).status == 1)
    #expect(try bench.keel(["lint"] + wild.dropFirst()).status == 0)
    expectRefusal(try bench.keel(wild + ["--strict", "--no-lint"]), saying: "--no-lint")
  }
}
