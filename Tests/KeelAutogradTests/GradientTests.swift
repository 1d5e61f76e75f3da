import KeelAutograd
import KeelBackend
import Testing

typealias Computation = @Sendable ([Tensor]) throws(TensorError) -> Tensor

/// A computation, whose gradients are compared with central differences.
struct GradientCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let shapes: [Shape]
  /// Where the inputs lie: near kinks a difference says nothing.
  var range: ClosedRange<Float> = -1...1
  let compute: Computation

  init(
    _ name: String, _ shapes: [Shape], in range: ClosedRange<Float> = -1...1,
    _ compute: @escaping Computation
  ) {
    testDescription = name
    self.shapes = shapes
    self.range = range
    self.compute = compute
  }
}

private func labels(_ values: [Int32], _ shape: Shape, like x: Tensor) throws(TensorError) -> Tensor
{
  try Tensor(values, shape: shape, on: x.device)
}

private let elementwise: [GradientCase] = [
  GradientCase("add_broadcast", [[3, 1, 2], [4, 1]]) { (x) throws(TensorError) in
    try x[0] + x[1]
  },
  GradientCase("multiply_row", [[3, 2], [2]]) { (x) throws(TensorError) in try x[0] * x[1] },
  GradientCase("divide", [[3, 2], [3, 1]], in: 0.5...2) { (x) throws(TensorError) in
    try x[0] / x[1] - 1 / x[0] + x[1] / 3 * 2
  },
  GradientCase("power", [[5], [5]], in: 0.5...2) { (x) throws(TensorError) in
    try x[0].power(x[1]) + x[0].power(2.5)
  },
  GradientCase("functions", [[7]], in: 0.5...2) { (x) throws(TensorError) in
    try -x[0].exp() + x[0].log() * x[0].sqrt() + x[0].abs() + x[0].sign()
  },
  GradientCase("activations", [[9]], in: 0.1...1) { (x) throws(TensorError) in
    let y = try x[0] - 2
    return try y.gelu() + x[0].silu() + y.softplus() + y.elu() + y.leakyRelu() + x[0].relu()
      + y.sigmoid() * x[0].tanh()
  },
  GradientCase("extremes", [[4], [4]]) { (x) throws(TensorError) in
    try x[0].maximum(x[1]) + x[0].minimum(0.3) * x[1].clipped(-0.5, 0.5)
  },
  GradientCase("select", [[4], [4], [4]]) { (x) throws(TensorError) in
    try x[0].greater(0).select(x[1], x[2] * x[2])
  },
  GradientCase("six_inputs", [[4], [4], [4], [4], [4], [4]]) { (x) throws(TensorError) in
    let product = Expression.x * .y * .z * .input(3) * .input(4) * .input(5)
    return try pointwise(product + product * product, x)
  },
]

private let movements: [GradientCase] = [
  GradientCase("sum_middle", [[2, 3, 2]]) { (x) throws(TensorError) in
    try (x[0] * x[0]).sum(axes: [1])
  },
  GradientCase("mean_all", [[2, 3]]) { (x) throws(TensorError) in try (x[0] * x[0]).mean() },
  GradientCase("mean_scalar", [.scalar]) { (x) throws(TensorError) in
    try x[0].mean() + x[0].max()
  },
  GradientCase("max_min", [[3, 4]]) { (x) throws(TensorError) in
    try x[0].max(axes: [-1]) + x[0].min(axes: [0], keepingAxes: true).sum() + x[0].max()
  },
  GradientCase("variance", [[3, 4]]) { (x) throws(TensorError) in
    try x[0].variance(axes: [0], unbiased: true) + x[0].variance()
  },
  GradientCase("transpose", [[2, 3, 4]]) { (x) throws(TensorError) in
    let y = try x[0].transposed([2, 0, 1])
    return try y.transposed() * y.transposed()
  },
  GradientCase("slice", [[5, 4]]) { (x) throws(TensorError) in
    try x[0].sliced([1..<5, 0..<4], steps: [2, 3])
  },
  GradientCase("pad", [[2, 3]]) { (x) throws(TensorError) in
    try x[0].padded([(1, 0), (2, 1)], value: 3)
  },
  GradientCase("concatenate", [[2, 3], [2, 1]]) { (x) throws(TensorError) in
    try Tensor.concatenate([x[0], x[1], x[0]], axis: -1)
  },
  GradientCase("broadcast", [[2, 1]]) { (x) throws(TensorError) in
    try x[0].broadcast(to: [3, 2, 4])
  },
  GradientCase("gather", [[3, 2]]) { (x) throws(TensorError) in
    try x[0].gather(try labels([0, 2, 2, 0], [2, 2], like: x[0]), axis: 0)
      + x[0].gather(try labels([1, 0, 7, 1], [4], like: x[0]), axis: 1).sum()
  },
]

private let products: [GradientCase] = [
  GradientCase("dense", [[2, 2, 3], [3, 4], [4]]) { (x) throws(TensorError) in
    try x[0].dense(x[1], bias: x[2], activation: .sigmoid)
  },
  GradientCase("dense_gelu", [[2, 3], [3, 4], [4]]) { (x) throws(TensorError) in
    try x[0].dense(x[1], bias: x[2], activation: .gelu) + x[0].dense(x[1])
  },
  GradientCase("convolution", [[2, 5, 4, 2], [3, 2, 2, 3], [3]]) { (x) throws(TensorError) in
    try x[0].convolution2D(
      x[1], bias: x[2], stride: (2, 1), padding: .same, activation: .tanh)
  },
  GradientCase("convolution_groups", [[1, 5, 5, 4], [2, 2, 2, 4]]) { (x) throws(TensorError) in
    try x[0].convolution2D(x[1], dilation: (2, 2), groups: 2, activation: .silu)
  },
  GradientCase("pooling", [[1, 5, 4, 2]]) { (x) throws(TensorError) in
    try x[0].maxPooling2D(window: (3, 2), stride: (2, 1), padding: .same)
      + x[0].averagePooling2D(window: (3, 2), stride: (2, 1), padding: .same)
  },
  GradientCase("global_pooling", [[2, 3, 3, 2]]) { (x) throws(TensorError) in
    try x[0].globalAveragePooling2D() + x[0].globalMaxPooling2D()
  },
]

private let statistics: [GradientCase] = [
  GradientCase("batch_normalization", [[2, 3, 2], [2], [2]]) { (x) throws(TensorError) in
    let running = try Tensor.zeros([2], on: x[0].device)
    return try x[0].batchNormalization(
      gamma: x[1], beta: x[2], runningMean: running, runningVariance: running, activation: .tanh)
  },
  GradientCase("batch_normalization_inference", [[4, 2], [2], [2]]) { (x) throws(TensorError) in
    let statistic = try Tensor([0.5, 2], shape: [2], on: x[0].device)
    return try x[0].batchNormalizationInference(
      gamma: x[1], beta: x[2], mean: statistic, variance: statistic, activation: .sigmoid)
  },
  GradientCase("layer_normalization", [[2, 2, 4], [4], [4]]) { (x) throws(TensorError) in
    try x[0].layerNormalization(gamma: x[1], beta: x[2])
  },
  GradientCase("softmax", [[2, 3]]) { (x) throws(TensorError) in
    try x[0].softmax() + x[0].logSoftmax()
  },
  GradientCase("cross_entropy", [[3, 4]]) { (x) throws(TensorError) in
    let classes = try labels([1, 0, 3], [3], like: x[0])
    return try x[0].softmaxCrossEntropy(labels: classes, smoothing: 0.1)
      + x[0].softmaxCrossEntropyPerExample(labels: classes)
  },
  GradientCase("losses", [[3, 2], [3, 2]], in: 0...1) { (x) throws(TensorError) in
    let far = try x[0] * 4 + 2
    return try x[0].sigmoidCrossEntropy(targets: x[1]) + x[0].meanSquaredError(x[1])
      + far.meanAbsoluteError(x[1]) + far.huberLoss(x[1], delta: 1.5)
  },
  GradientCase("dropout", [[40]]) { (x) throws(TensorError) in
    try x[0].dropout(rate: 0.5, key: RandomKey(seed: 7, .dropout))
  },
]

/// Every transposition with batches that are equal, shared, and partly stretched.
private let matmuls: [GradientCase] = [false, true].flatMap { left in
  [false, true].flatMap { right in
    let a: [Int] = left ? [3, 2] : [2, 3]
    let b: [Int] = right ? [4, 3] : [3, 4]
    let batches: [([Int], [Int])] = [
      ([], []), ([3], [3]), ([3], []), ([], [3]), ([2, 1], [3]), ([2, 3], [1, 3]), ([1], [1]),
    ]
    return batches.map { batch in
      GradientCase(
        "matmul \(left) \(right) \(batch)", [Shape(batch.0 + a), Shape(batch.1 + b)]
      ) { (x) throws(TensorError) in
        try x[0].matmul(x[1], transposeLeft: left, transposeRight: right)
      }
    }
  }
}

@Suite struct GradientTests {
  @Test(arguments: elementwise + movements + products + statistics + matmuls)
  func gradientsAreTheSlopes(_ example: GradientCase) throws {
    let (device, _) = referenceDevice()
    let spread = RandomDistribution.uniform(
      low: example.range.lowerBound, high: example.range.upperBound)
    let values = example.shapes.enumerated().map { index, shape in
      spread.values(shape.count, key: RandomKey(seed: 1, .user, index: index))
    }
    // A weighted sum, so that no two elements of the result weigh the same.
    func loss(_ inputs: [Tensor]) throws(TensorError) -> Tensor {
      let y = try example.compute(inputs)
      let weights = try Tensor.random(
        .uniform(low: 0.5, high: 1.5), shape: y.shape, key: RandomKey(seed: 2, .user), on: device)
      return try (y * weights).sum()
    }
    func tensors(_ values: [[Float]]) throws(TensorError) -> [Tensor] {
      var tensors: [Tensor] = []
      for (value, shape) in zip(values, example.shapes) {
        tensors.append(try Tensor(value, shape: shape, on: device))
      }
      return tensors
    }
    let inputs = try tensors(values)
    let (_, gradients) = try valueAndGradient(at: inputs) { () throws(TensorError) in
      try loss(inputs)
    }
    for (position, gradient) in gradients.enumerated() {
      #expect(gradient.shape == example.shapes[position])
      for (i, slope) in try gradient.scalars().enumerated() {
        let step: Float = 1 / 256
        var (above, below) = (values, values)
        above[position][i] += step
        below[position][i] -= step
        let rise = try loss(try tensors(above)).item() - loss(try tensors(below)).item()
        let difference = rise / (2 * step)
        #expect(
          abs(difference - slope) <= 3e-3 * max(1, abs(slope)),
          "input \(position) element \(i): \(slope), by difference \(difference)")
      }
    }
  }

  @Test func equalWinnersShareTheGradient() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([3, 1, 3, 3, .nan, 2], shape: [2, 3], on: device)
    let (_, gradients) = try valueAndGradient(at: [x]) { () throws(TensorError) in
      try x.max(axes: [1]).sum()
    }
    let found = try gradients[0].scalars()
    #expect(found[..<3] == [0.5, 0, 0.5])
    #expect(found[3...].allSatisfy { $0.isNaN })
  }
}
