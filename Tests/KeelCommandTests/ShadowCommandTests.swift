import Foundation
import Testing

/// `keel train --shadow`: it says what it looked at and leaves the training as it is.
@Suite struct ShadowCommandTests {
  private func firstNumber(_ text: String) -> Int? {
    text.split(separator: " ").first.flatMap { Int($0.filter(\.isNumber)) }
  }

  @Test("A watched training ends with equal weights and a report", arguments: ["cpu", "opencl"])
  func watches(_ device: String) throws {
    let bench = Workbench()
    guard try device == "cpu" || bench.keel("devices").output.contains("opencl:0") else { return }
    let training = Workbench.training.map { $0 == "cpu" ? device : $0 }
    let plain = try bench.keel(training + ["--out", "plain"])
    #expect(plain.status == 0 && !plain.output.contains("shadow:"), "\(plain.transcript)")
    var checks: [Int] = []
    for every in ["1000", "1"] {
      let watched = try bench.keel(
        training + ["--out", "watched\(every)", "--shadow", every])
      #expect(watched.status == 0, "\(watched.transcript)")
      // Beside warnings about so few examples, nothing.
      #expect(!watched.complaint.contains("wrong"), "\(watched.transcript)")
      let line = try #require(
        watched.output.split(separator: "\n").first { $0.hasPrefix("shadow: ") })
      #expect(line.hasSuffix("launches compared with the CPU, none wrong"), "\(line)")
      checks.append(try #require(firstNumber(String(line.dropFirst("shadow: ".count)))))
      #expect(
        bench.bytes("watched\(every)/checkpoint.safetensors")
          == bench.bytes("plain/checkpoint.safetensors"))
    }
    // The first launch of each method; and every launch.
    #expect(checks[0] > 10 && checks[1] > 3 * checks[0], "\(checks)")
  }

  @Test("Options of a shadow that cannot be used")
  func refuses() throws {
    let bench = Workbench()
    expectRefusal(
      try bench.keel(Workbench.training + ["--shadow", "0", "--out", "run"]),
      saying: "--shadow must be at least 1, got 0")
    expectRefusal(
      try bench.keel(Workbench.training + ["--shadow-reroute", "--out", "run"]),
      saying: "--shadow-reroute needs --shadow N")
    expectRefusal(
      try bench.keel(Workbench.training + ["--shadow", "1.5", "--out", "run"]), saying: "'1.5'")
    #expect(try bench.names() == [])
  }
}
