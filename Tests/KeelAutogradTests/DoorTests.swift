import KeelAutograd
import KeelBackend
import Testing

/// Every public operation refuses operands that do not fit with a sentence, and starts nothing.
@Suite struct DoorTests {
  private let device: Device
  private let backend: ReferenceBackend
  private let matrix: Tensor
  private let other: Tensor
  private let vector: Tensor
  private let image: Tensor
  private let labels: Tensor
  private let foreign: Tensor
  private let deep: Tensor

  init() throws {
    (device, backend) = referenceDevice()
    matrix = try .zeros([3, 4], on: device)
    other = try .zeros([5, 6], on: device)
    vector = try .zeros([4], on: device)
    image = try .zeros([2, 5, 5, 4], on: device)
    labels = try Tensor([0, 1, 2] as [Int32], shape: [3], on: device)
    foreign = try .zeros([3, 4], on: referenceDevice().0)
    deep = try .zeros([3, 5, 1], on: device)
    backend.record()
  }

  private func refuses(
    _ sentence: String, _ body: () throws -> Tensor,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = #expect(throws: TensorError.self, sourceLocation: sourceLocation) {
      _ = try body()
    }
    guard let error else { return }
    #expect(error.description == sentence, sourceLocation: sourceLocation)
    #expect(backend.calls.isEmpty, sourceLocation: sourceLocation)
  }

  @Test func negativeExtents() {
    let sentence = "requires extents of at least 0, got -2x-6"
    refuses("zeros: " + sentence) { try .zeros([-2, -6], on: device) }
    refuses("reshaped: " + sentence) { try matrix.reshaped([-2, -6]) }
    refuses("tensor: " + sentence) { try Tensor([], shape: [-2, -6], on: device) }
  }

  @Test func making() {
    refuses("tensor: requires 4 values for the shape 2x2, got 3") {
      try Tensor([1, 2, 3], shape: [2, 2], on: device)
    }
    refuses("zeros: requires at most 8 axes, got 1x1x1x1x1x1x1x1x1") {
      try .zeros([1, 1, 1, 1, 1, 1, 1, 1, 1], on: device)
    }
    let absurd = Shape([0, Int.max, Int.max])
    refuses("full: requires at most 2^48 elements, got \(absurd)") {
      try .full(absurd, 1, on: device)
    }
    refuses("tensor: requires at most 2^48 elements, got \(absurd)") {
      try Tensor([] as [Float], shape: absurd, on: device)
    }
    let key = RandomKey(seed: 1, .user)
    refuses("random: requires finite parameters in order, got uniform(low: 2.0, high: 1.0)") {
      try .random(.uniform(low: 2, high: 1), shape: [2], key: key, on: device)
    }
    refuses("random: requires finite parameters in order, got normal(mean: 0.0, deviation: nan)") {
      try .random(.normal(mean: 0, deviation: .nan), shape: [2], key: key, on: device)
    }
    refuses("randomBits: requires at most 2^34 elements, got 1073741824x32") {
      try .randomBits(shape: [1 << 30, 32], key: key, on: device)
    }
  }

  @Test func reading() {
    #expect(throws: TensorError.self) { try labels.scalars() }
    #expect(throws: TensorError.self) { try matrix.int32Scalars() }
    #expect(throws: TensorError.self) { try matrix.uint8Scalars() }
    #expect(throws: TensorError.self) { try matrix.item() }
    #expect(throws: TensorError.self) { try labels.item() }
  }

  @Test func elementwise() {
    let differing =
      "shapes that broadcast; they differ in axis 0: 3 and 5, axis 1: 4 and 6, got 3x4 and 5x6"
    refuses("add: requires " + differing) { try matrix + other }
    refuses("subtract: requires " + differing) { try matrix - other }
    refuses("multiply: requires " + differing) { try matrix * other }
    refuses("divide: requires " + differing) { try matrix / other }
    refuses("maximum: requires " + differing) { try matrix.maximum(other) }
    refuses("less: requires " + differing) { try matrix.less(other) }
    refuses(
      "add: requires shapes that broadcast; they differ in axis 0 and axis 1: 3 and 5, got 3x4 and "
        + "3x5x1"
    ) { try matrix + deep }
    refuses("multiply: requires tensors on one device, got reference and reference") {
      try matrix * foreign
    }
    refuses("pointwise: requires one to six inputs, got 0") { try pointwise(1, []) }
    refuses("pointwise: requires one to six inputs, got 7") {
      try pointwise(.x, [Tensor](repeating: matrix, count: 7))
    }
    refuses(
      "pointwise: requires an input for each position in the formula, got 1 inputs for the "
        + "positions [0, 2]"
    ) { try pointwise(.x + .z, [matrix]) }
    refuses(
      "pointwise: requires an input for each position in the formula, got 1 inputs for the "
        + "positions [-1]"
    ) { try pointwise(.input(-1), [matrix]) }
    refuses("clipped: requires low <= high, got 2.0 and 1.0") { try matrix.clipped(2, 1) }
    refuses("clipped: requires low <= high, got nan and 1.0") { try matrix.clipped(.nan, 1) }
    refuses("dropout: requires a rate in 0 ..< 1, got 1.0") {
      try matrix.dropout(rate: 1, key: RandomKey(seed: 1, .dropout))
    }
    refuses("dropout: requires a rate in 0 ..< 1, got nan") {
      try matrix.dropout(rate: .nan, key: RandomKey(seed: 1, .dropout))
    }
  }

  @Test func reductions() throws {
    let single = try Tensor.zeros([1, 1], on: device)
    backend.record()
    refuses("sum: requires an axis of the shape 3x4, got axis 2") { try matrix.sum(axes: [2]) }
    refuses("mean: requires an axis of the shape 3x4, got axis -3") { try matrix.mean(axes: [-3]) }
    refuses("max: requires distinct axes, at least one, got [1, -1]") {
      try matrix.max(axes: [1, -1])
    }
    refuses("min: requires distinct axes, at least one, got []") { try matrix.min(axes: []) }
    refuses("sum: requires float32 elements, got int32 3") { try labels.sum() }
    refuses("variance: requires two elements for an unbiased variance, got 1") {
      try single.variance(unbiased: true)
    }
    refuses("argmax: requires an axis of the shape 3x4, got axis 5") {
      try matrix.argmax(axis: 5)
    }
    refuses("globalAveragePooling2D: requires batch x height x width x channels, got 3x4") {
      try matrix.globalAveragePooling2D()
    }
  }

  @Test func emptyReductions() throws {
    let empty = try Tensor.zeros([0, 4], on: device)
    refuses("mean: requires no empty axis among the reduced, got 0x4") { try empty.mean() }
    refuses("argmax: requires an axis that is not empty, got 0x4") { try empty.argmax(axis: 0) }
    #expect(try empty.sum(axes: [1]).shape == [0])
    #expect(try empty.globalNorm().item() == 0)
  }

  @Test func movement() {
    refuses("reshaped: requires equal numbers of elements, got 3x4 and 5") {
      try matrix.reshaped([5])
    }
    refuses("flattened: requires an axis of the shape 3x4, got axis 3") {
      try matrix.flattened(fromAxis: 3)
    }
    refuses("transposed: requires each axis of the shape 3x4 once, got [0, 0]") {
      try matrix.transposed([0, 0])
    }
    let ranges = "[Range(0..<4), Range(0..<4)]"
    refuses("sliced: requires a range and a step within each axis of the shape 3x4, got \(ranges)")
    { try matrix.sliced([0..<4, 0..<4]) }
    refuses("sliced: requires steps of at least 1, got [1, 0]") {
      try matrix.sliced([0..<3, 0..<4], steps: [1, 0])
    }
    refuses(
      "padded: requires widths of 0 to 2147483647 for each axis of the shape 3x4, got "
        + #"["1+1", "0+-1"]"#
    ) { try matrix.padded([(1, 1), (0, -1)]) }
    refuses("concatenate: requires at least one tensor, got none") {
      try Tensor.concatenate([], axis: 0)
    }
    refuses(
      "concatenate: requires equal extents but for axis 1; they differ in axis 0: 3 and 5, got 3x4 "
        + "and 5x6"
    ) { try Tensor.concatenate([matrix, other], axis: -1) }
    refuses(
      "concatenate: requires equal extents but for axis 0; one has 2 axes, the other 1, got 3x4 "
        + "and 4"
    ) { try Tensor.concatenate([matrix, vector], axis: 0) }
    refuses("concatenate: requires one element type, got float32 and int32") {
      try Tensor.concatenate([vector, labels], axis: 0)
    }
    refuses("gather: requires int32 indices, got float32 4") { try matrix.gather(vector) }
    refuses("gather: requires an axis of the shape 3x4, got axis 2") {
      try matrix.gather(labels, axis: 2)
    }
    refuses("oneHot: requires at least one class, got 0") { try labels.oneHot(classes: 0) }
    refuses("oneHot: requires int32 indices, got float32 4") { try vector.oneHot(classes: 3) }
    refuses(
      "broadcast: requires a shape that stretches to the target; they differ in axis 1: 4 and 5, "
        + "got 3x4 and 3x5"
    ) { try matrix.broadcast(to: [3, 5]) }
  }

  @Test func products() throws {
    let batches = try Tensor.zeros([3, 5, 4, 5], on: device)
    let square = try Tensor.zeros([6, 6], on: device)
    backend.record()
    refuses(
      "matmul: requires equal inner extents; axis 1 of the left is 4, axis 0 of the right 5, got "
        + "3x4 and 5x6"
    ) { try matrix.matmul(other) }
    refuses(
      "matmul: requires equal inner extents; axis 0 of the left is 3, axis 1 of the right 6, got "
        + "3x4 and 5x6"
    ) { try matrix.matmul(other, transposeLeft: true, transposeRight: true) }
    refuses("matmul: requires two axes or more, got 3x4 and 4") { try matrix.matmul(vector) }
    refuses(
      "matmul: requires batch axes that broadcast; they differ in axis 0: 2 and 3, got 2x5x5x4 and "
        + "3x5x4x5"
    ) { try image.matmul(batches) }
    refuses("matmul: requires float32 elements, got int32 3") { try labels.matmul(matrix) }
    refuses(
      "dense: requires equal inner extents; axis 1 of the input is 4, axis 0 of the weight 5, got "
        + "3x4 and 5x6"
    ) { try matrix.dense(other) }
    refuses("dense: requires a weight of in x out, got 4") { try matrix.dense(vector) }
    refuses("dense: requires a bias of shape 6, got 4") { try square.dense(square, bias: vector) }
  }

  @Test func images() throws {
    let filter = try Tensor.zeros([3, 3, 4, 2], on: device)
    backend.record()
    refuses("convolution2D: requires batch x height x width x channels, got 3x4") {
      try matrix.convolution2D(filter)
    }
    refuses("convolution2D: requires strides of 1 to 1048576, got 0x1") {
      try image.convolution2D(filter, stride: (0, 1))
    }
    refuses("convolution2D: requires dilations of 1 to 1048576, got 1x9223372036854775807") {
      try image.convolution2D(filter, dilation: (1, .max))
    }
    refuses(
      "convolution2D: requires a window that fits into the padded image, got a window of 7x3 on "
        + "an image of 5x5"
    ) { try image.convolution2D(filter, dilation: (3, 1)) }
    refuses("convolution2D: requires paddings of 0 to 1048576, got [0, -1, 0, 0]") {
      try image.convolution2D(filter, padding: .explicit(top: 0, left: -1, bottom: 0, right: 0))
    }
    refuses(
      "convolution2D: requires groups that divide the channels, got 3 groups of 4 and 2 channels"
    ) { try image.convolution2D(filter, groups: 3) }
    refuses(
      "convolution2D: requires groups that divide the channels, got 0 groups of 4 and 2 channels"
    ) { try image.convolution2D(filter, groups: 0) }
    refuses("convolution2D: requires filters for 2 channels of the image, got 2x5x5x4 and 3x3x4x2")
    {
      try image.convolution2D(filter, groups: 2)
    }
    refuses("convolution2D: requires a bias of shape 2, got 4") {
      try image.convolution2D(filter, bias: vector)
    }
    refuses("maxPooling2D: requires windows of 1 to 1048576, got 0x2") {
      try image.maxPooling2D(window: (0, 2))
    }
    refuses(
      "averagePooling2D: requires a window that fits into the padded image, got a window of 6x1 "
        + "on an image of 5x5"
    ) { try image.averagePooling2D(window: (6, 1)) }
    refuses("maxPooling2D: requires windows of at most 256 pixels, got 17x17") {
      try image.maxPooling2D(window: (17, 17), stride: (1, 1), padding: .same)
    }
    #expect(throws: TensorError.self) {
      try image.maxPooling2D(
        window: (2, 2), padding: .explicit(top: 2, left: 0, bottom: 0, right: 0))
    }
  }

  @Test func normalizationAndLosses() throws {
    let (scale, wrong) = (vector, try Tensor.zeros([3], on: device))
    backend.record()
    refuses("batchNormalization: requires a parameter or statistic of shape 4, got 3") {
      try matrix.batchNormalization(
        gamma: scale, beta: wrong, runningMean: scale, runningVariance: scale)
    }
    refuses("batchNormalization: requires a momentum in 0 ... 1, got 1.5") {
      try matrix.batchNormalization(
        gamma: scale, beta: scale, runningMean: scale, runningVariance: scale, momentum: 1.5)
    }
    refuses("batchNormalization: requires at least two values in each channel, got 4") {
      try scale.batchNormalization(
        gamma: scale, beta: scale, runningMean: scale, runningVariance: scale)
    }
    refuses("batchNormalizationInference: requires a finite epsilon above 0, got 0.0") {
      try matrix.batchNormalizationInference(
        gamma: scale, beta: scale, mean: scale, variance: scale, epsilon: 0)
    }
    refuses("layerNormalization: requires a gamma of shape 4, got 3") {
      try matrix.layerNormalization(gamma: wrong, beta: scale)
    }
    refuses("layerNormalization: requires a finite epsilon above 0, got nan") {
      try matrix.layerNormalization(gamma: scale, beta: scale, epsilon: .nan)
    }
    refuses("softmax: requires float32 elements, got int32 3") { try labels.softmax() }
    refuses("softmaxCrossEntropy: requires one label for each row, got 5x6 and 3") {
      try other.softmaxCrossEntropy(labels: labels)
    }
    refuses("softmaxCrossEntropy: requires int32 labels, got float32 4") {
      try matrix.softmaxCrossEntropy(labels: vector)
    }
    refuses("softmaxCrossEntropyPerExample: requires a smoothing in 0 ..< 1, got 1.0") {
      try matrix.softmaxCrossEntropyPerExample(labels: labels, smoothing: 1)
    }
    refuses(
      "meanSquaredError: requires equal shapes, not empty; one has 2 axes, the other 1, got 3x4 "
        + "and 4"
    ) { try matrix.meanSquaredError(vector) }
    refuses("huberLoss: requires a finite delta above 0, got -1.0") {
      try matrix.huberLoss(matrix, delta: -1)
    }
    refuses("backward: requires one float32 element, got 3x4") {
      try matrix.backward { _ in nil }
      return matrix
    }
  }
}
