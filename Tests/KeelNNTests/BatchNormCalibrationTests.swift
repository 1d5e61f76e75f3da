import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

/// Online and offline batch normalisation.
@Suite struct BatchNormCalibrationTests {
  private func bits(_ model: Model) throws -> [[UInt32]] {
    try (model.parameters.map(\.name) + model.states.map(\.name)).map {
      try model.weights(named: $0).map(\.bitPattern)
    }
  }

  /// Mean and biased variance of each channel, two passes in Double.
  private func reference(_ values: [Double], _ channels: Int) -> (
    mean: [Double], variance: [Double]
  ) {
    let rows = Double(values.count / channels)
    var mean = [Double](repeating: 0, count: channels)
    var variance = mean
    for i in values.indices { mean[i % channels] += values[i] / rows }
    for i in values.indices {
      variance[i % channels] +=
        (values[i] - mean[i % channels]) * (values[i] - mean[i % channels])
        / rows
    }
    return (mean, variance)
  }

  private func train(_ model: Model, _ x: Tensor) throws {
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
  }

  @Test(arguments: TestDevices.all)
  func trainingGivesMeanZeroAndVarianceOne(_ device: Device) throws {
    let model = try Model(BatchNorm(epsilon: 1e-6), input: [4, 4, 3], device: device)
    let x = try Tensor(pattern(8 * 48, center: 20, scale: 3), shape: [8, 4, 4, 3], on: device)
    let y = try model(x, Pass(isTraining: true, seed: 0, step: 0)).scalars()
    let (mean, variance) = reference(y.map { Double($0) }, 3)
    for c in 0..<3 {
      #expect(abs(mean[c]) < 1e-5)
      #expect(abs(variance[c] - 1) < 1e-5)
    }
  }

  /// Three batches of different sizes, with a mean far from 0.
  @Test(arguments: TestDevices.all)
  func offlineStatisticsAreThePopulations(_ device: Device) throws {
    let model = try Model(BatchNorm(epsilon: 1e-5), input: [2, 3], device: device)
    var (batches, all): ([Tensor], [Double]) = ([], [])
    for (number, count) in [5, 1, 16].enumerated() {
      let values = pattern(count * 6, center: 100, scale: 2, phase: number)
      batches.append(try Tensor(values, shape: [count, 2, 3], on: device))
      all += values.map { Double($0) }
    }
    let found = try model.calibrateBatchNorm(batches)
    let (mean, variance) = reference(all, 3)
    #expect(found.map(\.count) == [44])
    #expect(found.map(\.layer) == [""])
    let running = (
      try model.weights(named: "running_mean"), try model.weights(named: "running_variance")
    )
    for c in 0..<3 {
      #expect(abs(found[0].mean[c] - mean[c]) < 1e-12 * mean[c])
      #expect(abs(found[0].variance[c] - variance[c]) < 1e-10 * variance[c])
      #expect(abs(Double(running.0[c]) - mean[c]) <= 1e-6 * mean[c])
      #expect(abs(Double(running.1[c]) - variance[c]) <= 1e-6 * variance[c])
    }
  }

  /// A second layer of normalisation sees what the first gives: with the statistics of each batch,
  /// or with those of the population.
  @Test(arguments: TestDevices.all)
  func layersInFrontUseWhatWasAskedFor(_ device: Device) throws {
    func network() throws -> Model {
      try Model(
        Sequential {
          BatchNorm(epsilon: 1e-5, activation: .relu)
          BatchNorm(epsilon: 1e-5)
        }, input: [2], device: device)
    }
    let values = [pattern(12, center: 3, scale: 1), pattern(8, center: -1, scale: 4, phase: 5)]
    let batches = try values.map { try Tensor($0, shape: [$0.count / 2, 2], on: device) }
    let all = values.flatMap { $0.map { Double($0) } }
    func relu(_ x: [Double], _ s: (mean: [Double], variance: [Double])) -> [Double] {
      x.indices.map {
        max(0, (x[$0] - s.mean[$0 % 2]) / (s.variance[$0 % 2] + Double(Float(1e-5))).squareRoot())
      }
    }
    let expected: [BatchNormUpstream: [Double]] = [
      .batchStatistics: values.flatMap { batch -> [Double] in
        let x = batch.map { Double($0) }
        return relu(x, reference(x, 2))
      },
      .calibratedStatistics: relu(all, reference(all, 2)),
    ]
    for (upstream, inner) in expected {
      let model = try network()
      let found = try model.calibrateBatchNorm(batches, upstream: upstream)
      #expect(found.map(\.layer) == ["batchnorm1", "batchnorm2"])
      for (statistics, input) in zip(found, [all, inner]) {
        let (mean, variance) = reference(input, 2)
        for c in 0..<2 {
          #expect(abs(statistics.mean[c] - mean[c]) < 1e-5)
          #expect(abs(statistics.variance[c] - variance[c]) < 1e-5)
        }
      }
      guard upstream == .calibratedStatistics else { continue }
      // In use, the population then has mean 0 and variance 1 behind the last layer.
      var outputs: [Double] = []
      for batch in batches { outputs += try model(batch).scalars().map { Double($0) } }
      let (mean, variance) = reference(outputs, 2)
      for c in 0..<2 {
        #expect(abs(mean[c]) < 1e-5)
        #expect(abs(variance[c] - 1) < 1e-4)
      }
    }
  }

  /// Frozen statistics stay in training, also for a single example, while gamma and beta learn.
  @Test(arguments: TestDevices.all)
  func calibratedStatisticsStayInTraining(_ device: Device) throws {
    let model = try Model(BatchNorm(momentum: 0.5), input: [2], device: device)
    let x = try Tensor([1, 2, 3, 6], shape: [2, 2], on: device)
    try model.calibrateBatchNorm([x])
    let before = try bits(model)
    let one = try Tensor([5, 5], shape: [1, 2], on: device)
    try train(model, one)
    #expect(try bits(model) == before)
    let slope = try #require(model.parameters[0].gradient).scalars()
    #expect(abs(slope[0] - 3 / (1 + 1e-3 as Float).squareRoot()) < 1e-5)
    model.useOnlineBatchNorm()
    try train(model, x)
    #expect(try model.weights(named: "running_mean") == [2, 4])
    #expect(try model.weights(named: "running_variance")[0] == 1.5)
  }

  @Test(arguments: TestDevices.all) func useNeverTouchesStatistics(_ device: Device) throws {
    let model = try Model(
      Sequential {
        Conv2D(3)
        BatchNorm()
      }, input: [5, 5, 1], device: device)
    let x = try Tensor(pattern(4 * 25), shape: [4, 5, 5, 1], on: device)
    try train(model, x)
    let before = try bits(model)
    for _ in 0..<3 { _ = try model(x).scalars() }
    #expect(try bits(model) == before)
  }

  @Test func calibrationThatFailsChangesNothing() throws {
    let model = try Model(
      Sequential {
        BatchNorm(activation: .relu)
        Dense(2)
        BatchNorm()
      }, input: [2], device: .cpu, seed: 4)
    let x = try Tensor([1, 2, 3, 6], shape: [2, 2], on: .cpu)
    try train(model, x)
    let before = try bits(model)
    let bad = try Tensor([1, 2, .nan, 6], shape: [2, 2], on: .cpu)
    let one = try Tensor([1, 2], shape: [1, 2], on: .cpu)
    let other = try Tensor([1, 2, 3], shape: [1, 3], on: .cpu)
    #expect(
      sentence { try model.calibrateBatchNorm([x, bad]) }
        == "batchnorm1: requires finite values to calibrate with, got mean nan in channel 0 of "
        + "batch 2")
    #expect(sentence { try model.calibrateBatchNorm([one]) }.contains("more than one value"))
    #expect(sentence { try model.calibrateBatchNorm([x, other]) }.contains("batch x 2"))
    #expect(sentence { try model.calibrateBatchNorm([]) }.contains("at least one batch"))
    #expect(try bits(model) == before)
    // Still online.
    try train(model, x)
    #expect(try bits(model) != before)
    let plain = try Model(Dense(2), input: [2], device: .cpu)
    #expect(sentence { try plain.calibrateBatchNorm([x]) }.contains("a model with batch norm"))
  }

  /// One bad batch leaves the running statistics as they were, bit for bit; the next good batch
  /// moves them as if the bad one had never been.
  @Test(arguments: TestDevices.all)
  func badBatchesDoNotPoisonRunningStatistics(_ device: Device) throws {
    func trained(with poison: [Float]) throws -> [[UInt32]] {
      let model = try Model(
        Sequential {
          Conv2D(5, kernel: 1, usesBias: false)
          BatchNorm(momentum: 0.9, activation: .relu)
        }, input: [3, 3, 1], device: device, seed: 2)
      let good = try Tensor(pattern(4 * 9), shape: [4, 3, 3, 1], on: device)
      try train(model, good)
      for value in poison {
        var values = pattern(4 * 9, phase: 3)
        values[17] = value
        let before = try bits(model)
        let bad = try Tensor(values, shape: [4, 3, 3, 1], on: device)
        // The fault is not hidden from those who look at the step.
        let output = try model(bad, Pass(isTraining: true, seed: 0, step: 0)).scalars()
        #expect(output.contains { !$0.isFinite } || value.isFinite)
        #expect(try bits(model) == before)
      }
      try train(model, Tensor(pattern(4 * 9, phase: 7), shape: [4, 3, 3, 1], on: device))
      return try bits(model)
    }
    // 1e30 is finite, its variance is not.
    #expect(
      try trained(with: [.nan, .infinity, -.infinity, 1e30]) == trained(with: []))
  }
}
