import Foundation
import KeelData
import Testing

/// What comes after training: evaluate, predict, parity, bench, ops, data.
@Suite struct UseTests {
  @Test("evaluate prints loss, accuracy and the confusion matrix of the run's own test data")
  func evaluates() throws {
    let bench = Workbench()
    let training = try bench.keel(Workbench.training + ["--out", "run"])
    let outcome = try bench.keel("evaluate", "run", "--device", "cpu")
    #expect(outcome.status == 0, "\(outcome.transcript)")
    let line = training.output.split(separator: "\n").first { $0.hasPrefix("test accuracy") }
    let accuracy = try #require(line?.split(separator: " ")[2])
    #expect(outcome.output.contains("accuracy  \(accuracy) %"))
    let rows = outcome.output.split(separator: "\n").suffix(10)
    var (total, right) = (0, 0)
    for (label, row) in rows.enumerated() {
      let cells = row.split(separator: " ").dropFirst().prefix(10).map { Int($0) ?? 0 }
      total += cells.reduce(0, +)
      right += cells[label]
    }
    #expect(total == 20)
    #expect(Double(accuracy) == 100 * Double(right) / 20)
  }

  @Test("predict prints the class and probabilities of pictures, and refuses what is none")
  func predicts() throws {
    let bench = Workbench()
    _ = try bench.keel([
      "train", "--device", "cpu", "--model", "mlp", "--train", "1500", "--test", "20", "--epochs",
      "4", "--out", "run",
    ])
    let digits = try SyntheticDigits.dataset(.test, count: 10)
    var right = 0
    for place in 0..<10 {
      let pixels = pixels(digits.example(at: place))
      try GrayImage(width: 28, height: 28, pixels: pixels).write(
        pngFile: bench.path + "/\(place).png")
    }
    let names = (0..<10).map { "\($0).png" }
    let outcome = try bench.keel(["predict", "run", "--device", "cpu"] + names)
    #expect(outcome.status == 0, "\(outcome.transcript)")
    for (place, name) in names.enumerated()
    where outcome.output.contains("\(name): \(digits.labels[place])\n") { right += 1 }
    #expect(right >= 6, "\(right) of 10 are right")
    let shares = outcome.output.split(separator: "\n").compactMap { line -> Double? in
      line.hasPrefix("  ") ? Double(line.split(separator: " ")[1]) : nil
    }
    #expect(shares.count == 100 && abs(shares.reduce(0, +) - 1000) < 6)

    try bench.write(Array(bench.bytes("0.png").prefix(60)), to: "cut.png")
    try bench.write(Array("no picture".utf8), to: "text.png")
    expectRefusal(
      try bench.keel("predict", "run", "0.png", "cut.png"), saying: "cut.png: is a damaged PNG")
    expectRefusal(
      try bench.keel("predict", "run", "text.png"), saying: "text.png", "is not a PNG image")
    expectRefusal(
      try bench.keel("predict", "run", "none.png"), saying: "none.png: does not exist")
  }

  private func pixels(_ example: Features) -> [UInt8] {
    guard case .bytes(let bytes) = example else { return [] }
    return bytes
  }

  @Test("parity runs one case again and says how it went")
  func checks() throws {
    let outcome = try Workbench().keel(
      "parity", "--case", "conv2d/stride2_same", "--device", "cpu", "--verbose")
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output.contains("ok     cpu convolution2d/stride2_same:"))
    #expect(outcome.output.contains("1 of 1 passed on cpu."))
  }

  @Test("bench measures and writes JSON; a file that cannot be written is told before measuring")
  func measures() throws {
    let bench = Workbench()
    let refused = try bench.keel(
      "bench", "--quick", "--filter", "softmax/log", "--device", "cpu", "--json", "none/b.json")
    expectRefusal(refused, saying: "none/b.json")
    #expect(refused.output.isEmpty)
    let outcome = try bench.keel(
      "bench", "--quick", "--filter", "softmax/log", "--device", "cpu", "--json", "b.json")
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output.contains("% of limit"))
    let report = try JSONSerialization.jsonObject(with: Data(bench.bytes("b.json")))
    let results = (report as? [String: Any])?["results"] as? [[String: Any]]
    #expect(results?.first?["id"] as? String == "softmax/log_rows8192_columns1000@large")
    #expect((results?.first?["milliseconds"] as? Double ?? 0) > 0)
    let small = try bench.keel(
      "bench", "--quick", "--size", "small", "--filter", "softmax/log", "--device", "cpu")
    #expect(small.status == 0, "\(small.transcript)")
    #expect(small.output.contains("softmax/log"))
    #expect(!small.output.contains("@large") && !small.output.contains("% of limit"))
  }

  @Test("ops lists every operation with kernels, gradient, cases and devices")
  func listsOperations() throws {
    let outcome = try Workbench().keel("ops")
    #expect(outcome.status == 0)
    for name in ["pointwise", "matmul", "convolution2d", "batch_normalization", "optimizer_step"] {
      let row = outcome.output.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
      let cells = row?.split(separator: " ") ?? []
      #expect(cells.count >= 5 && Int(cells[1]) ?? 0 > 0 && Int(cells[3]) ?? 0 > 0, "\(name)")
      #expect(cells.contains("cpu"))
    }
  }

  @Test("data fetch from a server that does not answer leaves nothing")
  func fetchFails() throws {
    let bench = Workbench()
    let outcome = try bench.keel(
      ["data", "fetch", "mnist", "--to", "data/mnist", "--from", "http://127.0.0.1:9/"],
      environment: ["no_proxy": "127.0.0.1"])
    expectRefusal(outcome, saying: "could not be downloaded", "127.0.0.1:9", "try again")
    #expect(!bench.exists("data/mnist"))
  }
}
