import Foundation
import Testing

/// `keel probe`: what it prints and writes, and that its number is the border of training.
@Suite struct ProbeCommandTests {
  private static let probing = [
    "probe", "--device", "cpu", "--model", "mlp", "--hidden", "8", "--train", "60", "--test", "20",
    "--batch", "20", "--seed", "3",
  ]

  @Test("A probe prints its findings and writes JSON and a page")
  func probes() throws {
    let bench = Workbench()
    let outcome = try bench.keel(
      Self.probing + ["--batches", "2", "--json", "probe.json", "--out", "page.html"])
    #expect(outcome.status == 0, "\(outcome.transcript)")
    for text in [
      "device: cpu (", "dense1", "40 examples in 2 batches", "values: ok", "gradients: ok",
      "clip threshold: global norm ", "learning rate: below ", "width: activations ",
    ] { #expect(outcome.output.contains(text), "'\(text)' lacks in: \(outcome.output)") }
    let json = try JSONSerialization.jsonObject(with: Data(bench.bytes("probe.json")))
    let report = try #require(json as? [String: Any])
    let curvature = try #require(report["curvature"] as? [String: Any])
    let (largest, rate) = try (
      #require(curvature["largestEigenvalue"] as? Double),
      #require(curvature["safeLearningRate"] as? Double)
    )
    #expect(largest > 0 && abs(largest * rate - 2) < 1e-9)
    #expect(report["batches"] as? Int == 2)
    #expect(bench.text("page.html").contains("<svg"))
    #expect(try bench.names() == ["page.html", "probe.json"])
    // The same numbers again, and other ones with another network.
    let again = try bench.keel(
      Self.probing + ["--batches", "2", "--json", "again.json"])
    #expect(again.output == outcome.output)
    #expect(bench.bytes("again.json") == bench.bytes("probe.json"))
    let other = try bench.keel(Self.probing + ["--batches", "2", "--init", "he-normal"])
    #expect(other.status == 0 && other.output != outcome.output)
  }

  @Test("Options of a probe that cannot be used")
  func refuses() throws {
    let bench = Workbench()
    let refused: [([String], String)] = [
      (["--batches", "0"], "--batches must be at least 1, got 0"),
      (["--batch", "-2"], "--batch must be at least 1, got -2"),
      (["--products", "-1"], "--products must be at least 0, got -1"),
      (["--out", ""], "A file needs a name"),
      (["--model", "vgg"], "There is no model 'vgg'"),
    ]
    for (options, sentence) in refused {
      expectRefusal(
        try bench.keel(Self.probing + options + ["--json", "p.json"]), saying: sentence)
    }
    #expect(try bench.names() == [])
  }
}
