import Foundation
import Testing

/// What `--init-method` leaves in the weights, and `--rewind` in those of a whole training.
@Suite struct FirstValueTests {
  /// The tensors of a checkpoint.
  private struct Weights {
    private let entries: [String: any Sendable]
    private let bytes: [UInt8]
    private let start: Int

    init(_ bytes: [UInt8]) throws {
      try #require(bytes.count > 8)
      let count = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      let header = try JSONSerialization.jsonObject(with: Data(bytes[8..<(8 + count)]))
      entries = try #require(header as? [String: any Sendable])
      (self.bytes, start) = (bytes, 8 + count)
    }

    func names(where isWanted: (String) -> Bool) -> [String] { entries.keys.filter(isWanted) }

    func values(_ name: String) throws -> [Float] {
      let entry = try #require(entries[name] as? [String: Any], "\(name): \(entries.keys)")
      let range = try #require(entry["data_offsets"] as? [Int])
      return stride(from: start + range[0], to: start + range[1], by: 4).map { place in
        Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << (8 * $1) })
      }
    }

    func deviation(_ name: String) throws -> Float {
      let values = try values(name)
      return (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
    }
  }

  /// Steps that are too small to change a weight.
  private static let still = ["--optimizer", "sgd", "--momentum", "0", "--lr", "1e-30"]

  /// The first values of a small network, and what was said about them.
  private func start(_ options: String...) throws -> (weights: Weights, said: String) {
    let bench = Workbench()
    let outcome = try bench.keel(
      Workbench.training + Self.still + ["--epochs", "1", "--out", "run"] + options)
    try #require(outcome.status == 0, "\(outcome.transcript)")
    return (try Weights(bench.bytes("run/checkpoint.safetensors")), outcome.output)
  }

  /// What one tensor is of another, if it is the same multiple everywhere.
  private func multiple(_ values: [Float], of others: [Float]) throws -> Float {
    try #require(values.count == others.count)
    let place = try #require(others.indices.max { abs(others[$0]) < abs(others[$1]) })
    let factor = values[place] / others[place]
    for (value, other) in zip(values, others) {
      #expect(abs(value - factor * other) <= 1e-5 * abs(factor * other) + 1e-12)
    }
    return factor
  }

  @Test("LSUV scales orthonormal weights, or those of --init")
  func lsuv() throws {
    let (weights, said) = try start("--init-method", "lsuv")
    #expect(said.contains("LSUV: variance of 2 layers ") && said.contains(", now "))
    let values = try weights.values("dense1.weight")
    func product(_ a: Int, _ b: Int) -> Float {
      (0..<784).reduce(0) { $0 + values[8 * $1 + a] * values[8 * $1 + b] }
    }
    let square = product(0, 0)
    #expect(abs(square - 1) > 0.1)
    for a in 0..<8 {
      for b in 0..<8 { #expect(abs(product(a, b) - (a == b ? square : 0)) < 1e-3 * square) }
    }
    let he = try start("--init", "he-normal").weights
    let both = try start("--init", "he-normal", "--init-method", "lsuv").weights
    for name in ["dense1.weight", "dense2.weight"] {
      let factor = try multiple(both.values(name), of: he.values(name))
      #expect(abs(factor - 1) > 0.01, "\(name)")
    }
  }

  @Test("muP sets variances by the width, zeros the output and scales rates")
  func mup() throws {
    let bench = Workbench()
    let outcome = try bench.keel(
      Workbench.training(hidden: 64) + Self.still
        + ["--epochs", "1", "--out", "run", "--init-method", "mup:16"])
    #expect(outcome.output.contains("muP: dense1.weight input, deviation 0.03571"))
    let weights = try Weights(bench.bytes("run/checkpoint.safetensors"))
    #expect(try abs(weights.deviation("dense1.weight") * 28 - 1) < 0.02)
    #expect(try weights.values("dense2.weight").allSatisfy { abs($0) < 1e-20 })
    let run = bench.text("run/run.json")
    #expect(run.contains("\"method\" : \"muP\""))
    #expect(run.contains("\"dense2.weight\" : 0.25"))
    #expect(bench.text("run/report.html").contains("muP"))
  }

  @Test("GradInit multiplies each tensor by a number")
  func gradInit() throws {
    let plain = try start().weights
    let (weights, said) = try start("--init-method", "gradinit:4")
    #expect(said.contains("GradInit: scales ") && said.contains("loss after one step"))
    let factors = try ["dense1.weight", "dense2.weight"].map {
      try multiple(weights.values($0), of: plain.values($0))
    }
    #expect(factors.contains { abs($0 - 1) > 0.01 })
  }

  @Test("Fixup zeros the end of each residual branch")
  func fixup() throws {
    let bench = Workbench()
    let outcome = try bench.keel(
      [
        "train", "--device", "cpu", "--model", "resnet18", "--norm", "none", "--train", "2",
        "--test", "1", "--batch", "2", "--epochs", "1", "--init-method", "fixup", "--out", "run",
      ] + Self.still)
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output.contains("Fixup: 8 residual branches times 0.354, their last weights"))
    let weights = try Weights(bench.bytes("run/checkpoint.safetensors"))
    let ends = weights.names { $0.hasPrefix("stage") && $0.hasSuffix("conv2.weight") }
    #expect(ends.count == 8)
    for name in ends + ["dense1.weight"] {
      #expect(try weights.values(name).allSatisfy { abs($0) < 1e-20 }, "\(name)")
    }
    // He's deviation times 8^(-1/2).
    let inner = try weights.deviation("stage1.block1.conv1.weight")
    #expect(abs(inner / (2 / Float(9 * 64) / 8).squareRoot() - 1) < 0.02)
  }

  @Test("A rewind plan decides which batches are left out, not when copies are made")
  func rewind() throws {
    let bench = Workbench()
    func train(_ name: String, rate: String, _ options: String...) throws -> Outcome {
      try bench.keel(
        Workbench.training + ["--epochs", "3", "--batch", "4", "--optimizer", "sgd"]
          + ["--momentum", "0", "--lr", rate, "--out", name] + options)
    }
    func weights(_ name: String) -> [UInt8] { bench.bytes(name + "/checkpoint.safetensors") }
    #expect(try train("plain", rate: "0.2").status == 0)
    for (name, plan) in [
      ("off", "spike=off"), ("usual", "spike=0.5,at-most=99"),
      ("often", "spike=0.5,at-most=99,every=1"),
    ] { #expect(try train(name, rate: "0.2", "--rewind", plan).status == 0) }
    #expect(weights("plain").count > 1000)
    #expect(weights("off") == weights("plain"))
    #expect(weights("usual") != weights("plain"))
    #expect(weights("usual") == weights("often"))
    #expect(
      bench.text("often/report.html").contains("rewind (every=1,spike=0.5,at-most=99)"))
    let once = try train("once", rate: "0.2", "--rewind", "spike=0.5,at-most=1")
    #expect(once.status == 2)
    #expect(once.complaint.contains("above the usual, after 1 times that training went back"))
    // The first step takes the weights out of range until the rate is small enough.
    let slow = try train("slow", rate: "1e30", "--rewind", "shrink=1e-8")
    #expect(slow.status == 0, "\(slow.transcript)")
    #expect(bench.text("slow/history.json").contains("slowed"))
    #expect(try Weights(weights("slow")).values("dense1.weight").allSatisfy(\.isFinite))
    #expect(try train("fast", rate: "1e30").status == 2)
  }

  @Test("A training that was stopped keeps both, to the bit")
  func resumes() throws {
    let bench = Workbench()
    let arguments =
      Workbench.training(hidden: 64) + ["--train", "3000", "--epochs", "10"]
      + ["--init-method", "mup", "--rewind", "every=8,spike=2.5,at-most=300", "--out"]
    let whole = try bench.keel(arguments + ["whole"])
    #expect(whole.status == 0, "\(whole.transcript)")
    #expect(bench.text("whole/history.json").contains("spike"))
    let process = try bench.process(arguments + ["parts"])
    try process.run()
    for _ in 0..<600 where !bench.text("complaint.txt").contains("epoch 2/10") { usleep(10_000) }
    process.interrupt()
    #expect(bench.outcome(of: process).status == 130)
    let resumed = try bench.keel("train", "--resume", "parts", "--device", "cpu")
    #expect(resumed.status == 0, "\(resumed.transcript)")
    #expect(
      bench.bytes("parts/checkpoint.safetensors") == bench.bytes("whole/checkpoint.safetensors"))
  }
}
