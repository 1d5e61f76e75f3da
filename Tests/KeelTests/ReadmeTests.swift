import FoundationEssentials
import Keel
import Testing

/// The examples of README.md: this file holds them word for word and runs them.
@Suite struct ReadmeTests {
  @Test func aNetworkInTenLines() throws {
    // README: network
    let (train, test) = try SyntheticDigits.trainAndTest(train: 6000, test: 1000)
    let model = try Model(
      Sequential {
        Conv2D(32, kernel: 3, activation: .relu)
        MaxPool2D(2)
        Flatten()
        Dense(128, activation: .relu)
        Dense(10)
      }, input: [28, 28, 1], device: .best, seed: 7)
    print(model.summary())
    let trainer = try model.compile(
      optimizer: .adam(), loss: .softmaxCrossEntropy(), metrics: [.accuracy], clipGlobalNorm: 1)
    try trainer.fit(train, epochs: 3, batchSize: 64)
    print(try trainer.evaluate(test))
    // README: end
    #expect(try trainer.evaluate(test).accuracy ?? 0 > 0.9)
  }

  @Test func aLoopOfOnesOwn() throws {
    // README: loop
    let device = try Device.select("auto").device
    let x = try Tensor([0, 1, 2, 3], shape: [4, 1], on: device)
    let y = try Tensor([1, 3, 5, 7], shape: [4, 1], on: device)
    var weight = try Tensor([0], shape: [1, 1], on: device)
    var bias = try Tensor([0], shape: [1], on: device)
    for _ in 0..<200 {
      let (_, gradients) = try valueAndGradient(at: [weight, bias]) { () throws(TensorError) in
        try x.dense(weight, bias: bias).meanSquaredError(y)
      }
      weight = try weight - gradients[0] * 0.1
      bias = try bias - gradients[1] * 0.1
    }
    print(try weight.item(), try bias.item())  // close to 2 and 1
    // README: end
    #expect(abs(try weight.item() - 2) < 0.01)
    #expect(abs(try bias.item() - 1) < 0.01)
  }

  /// The blocks of README.md that import Keel are the marked parts of this file.
  @Test func theTextIsTheSame() throws {
    let here = #filePath
    let root = here.split(separator: "/").dropLast(3).joined(separator: "/")
    let readme = try lines(of: "/" + root + "/README.md")
    let source = try lines(of: here)

    var blocks: [[String]] = []
    var block: [String]?
    for line in readme {
      if line == "```swift" {
        block = []
      } else if line == "```" {
        if let block, block.first == "import Keel" { blocks.append(Array(block.dropFirst(2))) }
        block = nil
      } else {
        block?.append(line)
      }
    }

    var examples: [[String]] = []
    for line in source {
      let text = line.drop { $0 == " " }
      if text.hasPrefix("// README: "), text != "// README: end" {
        examples.append([])
        block = []
      } else if text == "// README: end" {
        block = nil
      } else if block != nil {
        examples[examples.count - 1].append(
          line.hasPrefix("    ") ? String(line.dropFirst(4)) : line)
      }
    }
    #expect(blocks.count == 2)
    #expect(blocks == examples)
  }

  private func lines(of path: String) throws -> [String] {
    let bytes = try #require(FileManager.default.contents(atPath: path))
    return String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }
}
