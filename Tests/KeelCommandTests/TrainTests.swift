import Foundation
import Testing

/// A training from the command line: what it prints, writes, and how it stops and goes on.
@Suite struct TrainTests {
  @Test("A training prints its device, data, network and result, and writes its run")
  func trains() throws {
    let bench = Workbench()
    let outcome = try bench.keel(Workbench.training + ["--out", "runs/first"], mergesOutputs: true)
    #expect(outcome.status == 0, "\(outcome.transcript)")
    // Both outputs in one file: the order is the order of events.
    let expected = [
      "device: cpu (", "data: digits drawn from strokes, 60 to train, 20 to test", "dense1",
      "6,370 parameters", "epoch 1/2  ", "epoch 2/2  ", "test accuracy ",
      "saved in runs/first: run.json",
    ]
    var rest = outcome.output[...]
    for text in expected {
      guard let place = rest.range(of: text) else {
        Issue.record("'\(text)' lacks or comes too early in: \(outcome.output)")
        break
      }
      rest = rest[place.upperBound...]
    }
    // Not a terminal: no bar is drawn over and over.
    #expect(!outcome.output.contains("\r") && !outcome.output.contains("\u{1B}"))
    #expect(
      try bench.names(in: "runs/first") == [
        "checkpoint.safetensors", "flight.json", "history.csv", "history.json", "report.html",
        "run.json",
      ])
    let lines = bench.text("runs/first/history.csv").split(separator: "\n")
    #expect(lines.count == 3 && lines[0].hasPrefix("epoch,step,loss,accuracy,gradient_norm"))
    #expect(lines[1].hasPrefix("1,3,") && lines[2].hasPrefix("2,6,"))
    #expect(bench.text("runs/first/report.html").contains("<svg"))
  }

  @Test("Runs without --out get the first free number")
  func numbersRuns() throws {
    let bench = Workbench()
    for number in 1...2 {
      let outcome = try bench.keel(Workbench.training)
      #expect(outcome.output.contains("saved in runs/\(number):"))
    }
    #expect(try bench.names(in: "runs") == ["1", "2"])
  }

  @Test("The same seed gives the same weights, another seed others")
  func obeysSeed() throws {
    let bench = Workbench()
    for name in ["a", "b"] { _ = try bench.keel(Workbench.training + ["--out", name]) }
    _ = try bench.keel(Workbench.training + ["--out", "c", "--seed", "4"])
    let weights = ["a", "b", "c"].map { bench.bytes("\($0)/checkpoint.safetensors") }
    #expect(!weights[0].isEmpty)
    #expect(weights[0] == weights[1])
    #expect(weights[0] != weights[2])
  }

  @Test("Options reach the weights")
  func optionsHaveEffect() throws {
    let bench = Workbench()
    let variants: [[String]] = [
      [], ["--lr", "0.01"], ["--optimizer", "sgd"], ["--clip-global-norm", "0.01"],
      ["--weight-decay", "0.1"], ["--batch", "15"], ["--accumulate", "2"], ["--dropout", "0.5"],
      ["--label-smoothing", "0.1"], ["--epochs", "1"], ["--augment", "shift=2"],
      ["--augment", "rotate=10,mixup=0.4"],
      ["--init", "he-normal"], ["--init", "sparse:4:0.5"],
    ]
    var seen: Set<[UInt8]> = []
    for (number, options) in variants.enumerated() {
      let outcome = try bench.keel(Workbench.training + options + ["--out", "\(number)"])
      #expect(outcome.status == 0, "\(outcome.transcript)")
      let weights = bench.bytes("\(number)/checkpoint.safetensors")
      #expect(!weights.isEmpty && seen.insert(weights).inserted, "\(options) changes nothing")
    }
  }

  @Test("--precision reaches the weights, the run and the plan, and a resumed run keeps it")
  func obeysPrecision() throws {
    let bench = Workbench()
    var weights: Set<[UInt8]> = []
    var plans: [Double] = []
    let training = Workbench.training + ["--batch", "60", "--hidden", "64", "64", "64"]
    for precision in ["float32", "bfloat16", "float16"] {
      let options = training + ["--precision", precision]
      let outcome = try bench.keel(options + ["--out", precision])
      #expect(outcome.status == 0, "\(outcome.transcript)")
      weights.insert(bench.bytes("\(precision)/checkpoint.safetensors"))
      let run = bench.text("\(precision)/run.json")
      #expect(run.contains("\"precision\" : \"\(precision)\""))
      #expect(run.contains("\"lossScale\" : \(precision == "float16" ? 1024 : 1)"))
      // Float16 got its loss scale: no warning.
      #expect(!outcome.complaint.contains("float16-without-loss-scale"))
      let evaluated = try bench.keel("evaluate", precision, "--device", "cpu")
      #expect(evaluated.status == 0, "\(evaluated.transcript)")
      let plan = try bench.keel(
        options + ["--plan", "--train", "1000", "--batch", "1000", "--hidden"]
          + [String](repeating: "256", count: 8))
      let line = plan.output.split(separator: "\n").first { $0.hasPrefix("activations") }
      plans.append(try #require(line?.split(separator: " ").last.flatMap { Double($0) }))
    }
    #expect(weights.count == 3)
    #expect(plans[1] < plans[0] && plans[2] == plans[1])
    expectRefusal(
      try bench.keel(training + ["--precision", "half"]), status: 2,
      saying: "no precision 'half'; there are: float32, float16, bfloat16")
    expectRefusal(
      try bench.keel(training + ["--loss-scale", "3"]), status: 2, saying: "a power of two")
    expectRefusal(
      try bench.keel("train", "--resume", "float16", "--precision", "bfloat16"), status: 2,
      saying: "leave out --precision")
  }

  @Test("--profile prints calls, time and bandwidth per operation")
  func profiles() throws {
    let bench = Workbench()
    let outcome = try bench.keel(Workbench.training + ["--out", "run", "--profile"])
    #expect(outcome.status == 0)
    let table = outcome.output.split(separator: "\n")
    #expect(table.contains { $0.hasPrefix("operation") && $0.contains("calls") })
    let step = table.first { $0.hasPrefix("optimizer_step") }
    // Two epochs of three steps.
    #expect(step?.split(separator: " ").dropFirst(2).first == "6")
  }

  @Test("--quick is a short run of the main job")
  func isQuick() throws {
    let bench = Workbench()
    let outcome = try bench.keel(["train", "--quick", "--device", "cpu", "--out", "run"])
    #expect(outcome.status == 0, "\(outcome.transcript)")
    #expect(outcome.output.contains("2000 to train, 500 to test"))
    #expect(outcome.output.contains("conv1"))
    let words = outcome.output.split { $0 == " " || $0 == "\n" }
    let place = try #require(words.lastIndex(of: "accuracy"))
    let accuracy = try #require(Double(words[place + 1]))
    #expect(accuracy > 75, "the quick run learns: \(outcome.output)")
  }

  @Test("Ctrl-C saves and says how to go on; the result is then the same to the bit")
  func stopsAndResumes() throws {
    let bench = Workbench()
    var arguments = Workbench.training(hidden: 64)
    arguments += ["--train", "3000", "--epochs", "30", "--out"]
    let whole = try bench.keel(arguments + ["whole"])
    #expect(whole.status == 0)

    let process = try bench.process(arguments + ["parts"])
    try process.run()
    // In the middle: after the first epoch, before the last.
    for _ in 0..<600 where !bench.text("complaint.txt").contains("epoch 1/30") {
      usleep(20_000)
    }
    process.interrupt()
    let stopped = bench.outcome(of: process)
    #expect(stopped.status == 130, "\(stopped.transcript)")
    #expect(stopped.output.contains("stopped in epoch "))
    #expect(stopped.output.contains("Go on with: keel train --resume parts\n"))
    #expect(bench.exists("parts/checkpoint.safetensors"))

    let resumed = try bench.keel("train", "--resume", "parts", "--device", "cpu")
    #expect(resumed.status == 0, "\(resumed.transcript)")
    #expect(resumed.output.contains("going on with parts: epoch "))
    #expect(
      bench.bytes("parts/checkpoint.safetensors") == bench.bytes("whole/checkpoint.safetensors"))

    let again = try bench.keel("train", "--resume", "parts", "--device", "cpu")
    expectRefusal(again, saying: "parts: the run is complete, 30 epochs")
  }
}
