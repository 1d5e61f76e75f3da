import KeelAutograd
import KeelBackend
import Testing

/// Results with closed forms, where a mistake would be in the plan and not in a device.
@Suite struct ForwardTests {
  private let device = referenceDevice().0

  private func counting(_ shape: Shape) throws(TensorError) -> Tensor {
    try Tensor((0..<shape.count).map(Float.init), shape: shape, on: device)
  }

  @Test func slicesTakeEveryStepThElement() throws {
    let x = try counting([4, 5])
    let part = try x.sliced([1..<4, 0..<5], steps: [2, 3])
    #expect(part.shape == [2, 2])
    #expect(try part.scalars() == [5, 8, 15, 18])
    #expect(try x.sliced([2..<2, 0..<5]).shape == [0, 5])
    #expect(try x.sliced([3..<4, 0..<1], steps: [.max, 1]).scalars() == [15])
    let indices = try Tensor([4, 5, 6] as [Int32], shape: [3], on: device)
    #expect(try indices.sliced([1..<3]).int32Scalars() == [5, 6])
  }

  @Test func paddingTransposingAndJoining() throws {
    let x = try counting([2, 2])
    #expect(try x.padded([(1, 0), (0, 1)], value: 9).scalars() == [9, 9, 9, 0, 1, 9, 2, 3, 9])
    #expect(try x.transposed().scalars() == [0, 2, 1, 3])
    #expect(try Tensor.concatenate([x, x], axis: 1).scalars() == [0, 1, 0, 1, 2, 3, 2, 3])
    #expect(try x.flattened(fromAxis: 0).shape == [4])
    #expect(try x.flattened(fromAxis: 2).shape == [2, 2, 1])
    #expect(try x.flattened(fromAxis: -1).shape == [2, 2])
    #expect(
      try x.reshaped([2, 1, 2]).broadcast(to: [2, 2, 2]).scalars() == [0, 1, 0, 1, 2, 3, 2, 3])
  }

  @Test func gatheringTakesThePlaceOfTheAxis() throws {
    let x = try counting([2, 3])
    let indices = try Tensor([2, 0, 5, 1] as [Int32], shape: [2, 2], on: device)
    let picked = try x.gather(indices, axis: 1)
    #expect(picked.shape == [2, 2, 2])
    #expect(try picked.scalars() == [2, 0, 0, 1, 5, 3, 0, 4])
    #expect(try indices.oneHot(classes: 2).scalars() == [0, 0, 1, 0, 0, 0, 0, 1])
  }

  @Test func clippingKeepsNotANumber() throws {
    let x = try Tensor([.nan, -5, 0.5, 5, .infinity], shape: [5], on: device)
    let y = try x.clipped(-1, 1).scalars()
    #expect(y[0].isNaN)
    #expect(y[1...] == [-1, 0.5, 1, 1])
    #expect(try x.relu().scalars()[0].isNaN)
    #expect(try x.max().item().isNaN)
    #expect(try x.greater(0).scalars() == [0, 0, 1, 1, 1])
  }

  @Test func samePaddingCoversTheImage() throws {
    let x = try Tensor.ones([1, 5, 4, 1], on: device)
    let filter = try Tensor.ones([3, 2, 1, 1], on: device)
    let y = try x.convolution2D(filter, stride: (2, 2), padding: .same)
    #expect(y.shape == [1, 3, 2, 1])
    #expect(try y.scalars() == [4, 4, 6, 6, 4, 4])
    let larger = try Tensor.ones([4, 4, 1, 1], on: device)
    #expect(try x.convolution2D(larger, padding: .same).shape == [1, 5, 4, 1])
    #expect(try x.averagePooling2D(window: (2, 2), padding: .same).scalars() == [1, 1, 1, 1, 1, 1])
  }

  @Test func batchNormalizationUpdatesItsStatistics() throws {
    let x = try Tensor([1, 2, 3, 6], shape: [2, 2], on: device)
    let (ones, mean, variance) = (
      try Tensor.ones([2], on: device), try Tensor.zeros([2], on: device),
      try Tensor.ones([2], on: device)
    )
    _ = try x.batchNormalization(
      gamma: ones, beta: ones, runningMean: mean, runningVariance: variance, momentum: 0.5)
    #expect(try mean.scalars() == [1, 2])
    #expect(try variance.scalars() == [1.5, 4.5])
  }

  @Test func activationsThatCannotBeFusedFollow() throws {
    let (x, weight) = (try counting([2, 3]), try counting([3, 2]))
    let plain = try x.dense(weight)
    for activation in [Activation.gelu, .silu, .softplus, .relu, .leakyRelu(slope: -1)] {
      let fused = try x.dense(weight, activation: activation).scalars()
      #expect(try fused == plain.activation(activation).scalars())
    }
    #expect(try plain.activation(.identity) === plain)
  }

  @Test func randomNumbersArePureFunctionsOfTheirKey() throws {
    let key = RandomKey(seed: 3, .initialization, index: 2)
    let spread = RandomDistribution.uniform(low: -1, high: 3)
    let uniform = try Tensor.random(spread, shape: [1000], key: key, on: device).scalars()
    #expect(uniform == spread.values(1000, key: key))
    #expect(uniform.allSatisfy { $0 >= -1 && $0 < 3 })
    let normal = RandomDistribution.normal(mean: 2, deviation: 3).values(20_000, key: key)
    let mean = normal.reduce(0) { $0 + Double($1) } / 20_000
    let variance = normal.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / 20_000
    #expect(abs(mean - 2) < 0.1 && abs(variance - 9) < 0.4)
    let truncated = RandomDistribution.truncatedNormal(mean: 0, deviation: 1)
    let short = truncated.values(5, key: key)
    #expect(truncated.values(5001, key: key).allSatisfy { abs($0) <= 2 })
    #expect(Array(truncated.values(5001, key: key)[..<5]) == short)
    let bits = try Tensor.randomBits(shape: [4], key: key, on: device).int32Scalars()
    #expect(UInt32(bitPattern: bits[3]) == key.words(block: 0)[3])
  }

  @Test func normsAndDropout() throws {
    #expect(try Tensor([3, -4], shape: [2], on: device).globalNorm().item() == 5)
    let x = try Tensor.ones([1000], on: device)
    let key = RandomKey(seed: 1, .dropout)
    #expect(try x.dropout(rate: 0, key: key) === x)
    let kept = try x.dropout(rate: 0.25, key: key).scalars()
    #expect(Set(kept) == [0, 1 / 0.75])
    #expect((700...800).contains(kept.filter { $0 > 0 }.count))
  }
}
