import FoundationEssentials
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What the report promises besides the place.
@Suite struct FirstCauseTests {
  @Test(arguments: TestDevices.all) func tracingChangesNothing(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Dense(5)
        BatchNorm()
        Dropout(0.5)
        Dense(2)
      }, input: [3], device: device, seed: 5)
    let x = try Tensor((0..<18).map { Float($0) - 8 }, shape: [6, 3], on: device)
    let labels = try Tensor([Int32](repeating: 1, count: 6), shape: [6], on: device)
    var broken = false
    let loss = { (pass: Pass) throws(TensorError) in
      let value = try Loss.softmaxCrossEntropy()(model(x, pass), labels)
      return broken ? try (value * 0).log() : value
    }
    _ = try model.valueAndGradient(loss)
    func everything() throws -> [[Float]] {
      try model.parameters.flatMap { [try $0.tensor?.scalars(), try $0.gradient?.scalars()] }
        .compactMap { $0 } + model.states.map { try model.weights(named: $0.name) }
    }
    let before = try everything()
    broken = true
    let cause = try #require(try model.locateFirstCause(loss))
    #expect(cause.place.operation == "log")
    #expect(cause.place.layer == nil)
    #expect(cause.place.source?.contains("FirstCauseTests.swift:") == true)
    #expect(try everything() == before)
  }

  @Test(arguments: TestDevices.all) func theSameMasksAreDrawnAgain(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Dense(64)
        Dropout(0.5)
      }, input: [3], device: device, seed: 5)
    let x = try Tensor([1, 2, 3], shape: [1, 3], on: device)
    var outputs: [[Float]] = []
    let loss = { (pass: Pass) throws(TensorError) in
      let y = try model(x, pass)
      outputs.append(try y.scalars())
      return try y.sum()
    }
    for _ in 0..<3 { _ = try model.valueAndGradient(loss) }
    _ = try model.locateFirstCause(loss)
    #expect(outputs[3] == outputs[2])
    #expect(outputs[3] != outputs[1])
    _ = try model.locateFirstCause(pass: 1, loss)
    #expect(outputs[4] == outputs[1])
  }

  @Test(arguments: TestDevices.all) func markedPartsAreNamed(_ device: Device) throws {
    let model = try Model(
      Sequential { Dense(2) }, input: [2], device: device, seed: 5)
    let x = try Tensor([1, 2], shape: [1, 2], on: device)
    let line = #line + 3
    let found = try model.locateFirstCause { (pass) throws(TensorError) in
      let y = try model(x, pass)
      return try traced("ratio") { () throws(TensorError) in try y / (y - y) }.sum()
    }
    let cause = try #require(found)
    #expect(cause.place.operation == "divide")
    #expect(cause.place.layer == "ratio")
    #expect(cause.place.source == "KeelStabilityTests/FirstCauseTests.swift:\(line)")
  }

  @Test(arguments: TestDevices.all) func sumsOfGradientsAreWatched(_ device: Device) throws {
    let model = try Model(
      Sequential { Dense(1, usesBias: false) }, input: [1], device: device, seed: 5)
    try model.setWeights([0.01], named: "dense1.weight")
    let x = try Tensor([1], shape: [1, 1], on: device)
    let found = try model.locateFirstCause { (pass) throws(TensorError) in
      let y = try model(x, pass)
      // Each slope is 2e38, and their sum is not finite.
      return try (y * 2e38).sum() + (y * 2e38).sum()
    }
    let cause = try #require(found)
    #expect(cause.source == .gradientSum)
    #expect(cause.place.direction == .backward)
    #expect("\(cause)".contains("a sum of finite gradients is +inf"))
  }

  @Test func survivesATripThroughJSON() throws {
    let device = Device.cpu
    let model = try Model(Sequential { Dense(2) }, input: [2], device: device, seed: 5)
    let x = try Tensor([.nan, -.infinity], shape: [1, 2], on: device)
    let found = try model.locateFirstCause { (pass) throws(TensorError) in
      try model(x, pass).sum()
    }
    let cause = try #require(found)
    let copy = try JSONDecoder().decode(FirstCause.self, from: try JSONEncoder().encode(cause))
    #expect(copy == cause)
  }

  /// Any numbers in any shape: reports are made, never a crash.
  @Test(arguments: TestDevices.all) func garbageIsReported(_ device: Device) throws {
    let garbage: [Float] = [
      .nan, .infinity, -.infinity, 0, -0, 1, -1, .greatestFiniteMagnitude,
      .leastNonzeroMagnitude, Float(bitPattern: 0x7F80_0001), Float(bitPattern: 0xFFC0_1234),
    ]
    let model = try Model(
      Sequential {
        Dense(3, activation: .gelu)
        BatchNorm()
        Dense(2)
      }, input: [2], device: device, seed: 5)
    var random = RandomSequence(RandomKey(seed: 9, .user))
    for rows in [2, 3, 5] {
      for _ in 0..<6 {
        for parameter in model.parameters {
          let values = (0..<parameter.shape.count).map { _ in
            garbage[Int(random.next(below: UInt32(garbage.count)))]
          }
          try model.setWeights(values, named: parameter.name)
        }
        let numbers = (0..<(rows * 2)).map { _ in
          garbage[Int(random.next(below: UInt32(garbage.count)))]
        }
        let x = try Tensor(numbers, shape: [rows, 2], on: device)
        let labels = try Tensor([Int32](repeating: 1, count: rows), shape: [rows], on: device)
        let cause = try model.locateFirstCause { (pass) throws(TensorError) in
          try Loss.softmaxCrossEntropy()(model(x, pass), labels)
        }
        if let cause { #expect(!"\(cause)".isEmpty) }
      }
    }
    for shape: Shape in [[0], [0, 3], [], [1, 1, 1], [3, 0, 2]] {
      let count = shape.count
      let range = ValueRange(garbage.prefix(count).map { $0 }, shape: shape)
      #expect(!"\(range)".isEmpty)
    }
    var odd = ValueRange([.nan], shape: [1])
    odd.shape = [Int.max, Int.max]
    odd.firstNonFinite = -5
    #expect(!"\(odd)".isEmpty)
  }
}
