internal import KeelAutograd
internal import KeelBackend

/// Calls that every device refuses alike, each with its sentence.
enum ErrorCases {
  static let all =
    shapes + movement + products + recurrences + normalizations + probabilities

  private static let integers = CaseInput([4], .labels(3))

  private static let shapes: [ErrorCase] = [
    ErrorCase(
      .pointwise, "shapes", inputs: [[3, 4], [5]],
      sentence: "add: requires shapes that broadcast; "
        + "they differ in axis 1 and axis 0: 4 and 5, got 3x4 and 5"
    ) { (t) throws(TensorError) in try t[0] + t[1] },
    ErrorCase(
      .pointwise, "inputs_missing", inputs: [[3]],
      sentence: "pointwise: requires an input for each position in the formula, got 1 inputs for "
        + "the positions [0, 1]"
    ) { (t) throws(TensorError) in try pointwise(.x + .y, [t[0]]) },
    ErrorCase(
      .pointwise, "inputs_none", inputs: [],
      sentence: "pointwise: requires one to six inputs, got 0"
    ) { (_) throws(TensorError) in try pointwise(1, []) },
    ErrorCase(
      .pointwise, "clipped_bounds", inputs: [[3]],
      sentence: "clipped: requires low <= high, got 2.0 and 1.0"
    ) { (t) throws(TensorError) in try t[0].clipped(2, 1) },
    ErrorCase(
      .pointwise, "clipped_nan", inputs: [[3]],
      sentence: "clipped: requires low <= high, got nan and 1.0"
    ) { (t) throws(TensorError) in try t[0].clipped(.nan, 1) },
    ErrorCase(
      .pointwise, "loss_shapes", inputs: [[3, 4], [4, 3]],
      sentence: "meanSquaredError: requires equal shapes, not empty; "
        + "they differ in axis 0: 3 and 4, axis 1: 4 and 3, got 3x4 and 4x3"
    ) { (t) throws(TensorError) in try t[0].meanSquaredError(t[1]) },
    ErrorCase(
      .pointwise, "huber_delta", inputs: [[3], [3]],
      sentence: "huberLoss: requires a finite delta above 0, got 0.0"
    ) { (t) throws(TensorError) in try t[0].huberLoss(t[1], delta: 0) },
    ErrorCase(
      .convert, "integers", inputs: [integers],
      sentence: "cast: requires float32, float16 or bfloat16 on both sides, got int32 to float16"
    ) { (t) throws(TensorError) in try t[0].cast(to: .float16) },
    ErrorCase(
      .convert, "to_integers", inputs: [[3]],
      sentence: "cast: requires float32, float16 or bfloat16 on both sides, got float32 to uint8"
    ) { (t) throws(TensorError) in try t[0].cast(to: .uint8) },
    ErrorCase(
      .reduction, "axis", inputs: [[3, 4]],
      sentence: "sum: requires an axis of the shape 3x4, got axis 2"
    ) { (t) throws(TensorError) in try t[0].sum(axes: [2]) },
    ErrorCase(
      .reduction, "axis_negative", inputs: [[3, 4]],
      sentence: "max: requires an axis of the shape 3x4, got axis -3"
    ) { (t) throws(TensorError) in try t[0].max(axes: [-3]) },
    ErrorCase(
      .reduction, "axes_repeated", inputs: [[3, 4]],
      sentence: "mean: requires distinct axes, at least one, got [1, -1]"
    ) { (t) throws(TensorError) in try t[0].mean(axes: [1, -1]) },
    ErrorCase(
      .reduction, "axis_empty", inputs: [[3, 0]],
      sentence: "min: requires no empty axis among the reduced, got 3x0"
    ) { (t) throws(TensorError) in try t[0].min(axes: [1]) },
    ErrorCase(
      .reduction, "integers", inputs: [integers],
      sentence: "sum: requires float32 elements, got int32 4"
    ) { (t) throws(TensorError) in try t[0].sum() },
    ErrorCase(
      .reduction, "variance_of_one", inputs: [[1]],
      sentence: "variance: requires two elements for an unbiased variance, got 1"
    ) { (t) throws(TensorError) in try t[0].variance(unbiased: true) },
    ErrorCase(
      .argmax, "axis", inputs: [[3, 4]],
      sentence: "argmax: requires an axis of the shape 3x4, got axis 5"
    ) { (t) throws(TensorError) in try t[0].argmax(axis: 5) },
    ErrorCase(
      .argmax, "axis_empty", inputs: [[3, 0]],
      sentence: "argmax: requires an axis that is not empty, got 3x0"
    ) { (t) throws(TensorError) in try t[0].argmax() },
    ErrorCase(
      .fill, "rank", inputs: [],
      sentence: "zeros: requires at most 8 axes, got 1x1x1x1x1x1x1x1x1"
    ) { (t) throws(TensorError) in
      try Tensor.zeros([1, 1, 1, 1, 1, 1, 1, 1, 1], on: t.device)
    },
    ErrorCase(
      .fill, "values", inputs: [],
      sentence: "tensor: requires 6 values for the shape 2x3, got 5"
    ) { (t) throws(TensorError) in try Tensor([1, 2, 3, 4, 5], shape: [2, 3], on: t.device) },
  ]

  private static let movement: [ErrorCase] = [
    ErrorCase(
      .stridedCopy, "reshape", inputs: [[3, 4]],
      sentence: "reshaped: requires equal numbers of elements, got 3x4 and 5x2"
    ) { (t) throws(TensorError) in try t[0].reshaped([5, 2]) },
    ErrorCase(
      .stridedCopy, "flatten", inputs: [[3, 4]],
      sentence: "flattened: requires an axis of the shape 3x4, got axis 3"
    ) { (t) throws(TensorError) in try t[0].flattened(fromAxis: 3) },
    ErrorCase(
      .stridedCopy, "transpose", inputs: [[3, 4]],
      sentence: "transposed: requires each axis of the shape 3x4 once, got [0, 0]"
    ) { (t) throws(TensorError) in try t[0].transposed([0, 0]) },
    ErrorCase(
      .stridedCopy, "slice_range", inputs: [[3, 4]],
      sentence: "sliced: requires a range and a step within each axis of the shape 3x4, got "
        + "[Range(0..<3), Range(2..<5)]"
    ) { (t) throws(TensorError) in try t[0].sliced([0..<3, 2..<5]) },
    ErrorCase(
      .stridedCopy, "slice_step", inputs: [[3, 4]],
      sentence: "sliced: requires steps of at least 1, got [1, 0]"
    ) { (t) throws(TensorError) in try t[0].sliced([0..<3, 0..<4], steps: [1, 0]) },
    ErrorCase(
      .stridedCopy, "pad", inputs: [[3, 4]],
      sentence: "padded: requires widths of 0 to 2147483647 for each axis of the shape 3x4, got "
        + #"["1+0", "-1+0"]"#
    ) { (t) throws(TensorError) in
      try t[0].padded([(before: 1, after: 0), (before: -1, after: 0)])
    },
    ErrorCase(
      .stridedCopy, "concatenate", inputs: [[3, 4], [3, 5]],
      sentence: "concatenate: requires equal extents but for axis 0; "
        + "they differ in axis 1: 4 and 5, got 3x4 and 3x5"
    ) { (t) throws(TensorError) in try Tensor.concatenate(t.tensors, axis: 0) },
    ErrorCase(
      .stridedCopy, "concatenate_nothing", inputs: [],
      sentence: "concatenate: requires at least one tensor, got none"
    ) { (t) throws(TensorError) in try Tensor.concatenate(t.tensors, axis: 0) },
    ErrorCase(
      .stridedCopy, "broadcast", inputs: [[3, 4]],
      sentence: "broadcast: requires a shape that stretches to the target; "
        + "they differ in axis 1: 4 and 5, got 3x4 and 3x5"
    ) { (t) throws(TensorError) in try t[0].broadcast(to: [3, 5]) },
    ErrorCase(
      .gather, "indices", inputs: [[3, 4], [2]],
      sentence: "gather: requires int32 indices, got float32 2"
    ) { (t) throws(TensorError) in try t[0].gather(t[1]) },
    ErrorCase(
      .oneHot, "classes", inputs: [integers],
      sentence: "oneHot: requires at least one class, got 0"
    ) { (t) throws(TensorError) in try t[0].oneHot(classes: 0) },
  ]

  private static let products: [ErrorCase] = [
    ErrorCase(
      .matmul, "inner", inputs: [[3, 4], [5, 6]],
      sentence: "matmul: requires equal inner extents; axis 1 of the left is 4, "
        + "axis 0 of the right 5, got 3x4 and 5x6"
    ) { (t) throws(TensorError) in try t[0].matmul(t[1]) },
    ErrorCase(
      .matmul, "inner_transposed", inputs: [[3, 4], [4, 6]],
      sentence: "matmul: requires equal inner extents; axis 0 of the left is 3, "
        + "axis 0 of the right 4, got 3x4 and 4x6"
    ) { (t) throws(TensorError) in try t[0].matmul(t[1], transposeLeft: true) },
    ErrorCase(
      .matmul, "rank", inputs: [[4], [4, 6]],
      sentence: "matmul: requires two axes or more, got 4 and 4x6"
    ) { (t) throws(TensorError) in try t[0].matmul(t[1]) },
    ErrorCase(
      .matmul, "batch", inputs: [[2, 3, 4], [3, 4, 5]],
      sentence: "matmul: requires batch axes that broadcast; "
        + "they differ in axis 0: 2 and 3, got 2x3x4 and 3x4x5"
    ) { (t) throws(TensorError) in try t[0].matmul(t[1]) },
    ErrorCase(
      .matmul, "dense_inner", inputs: [[3, 4], [5, 6]],
      sentence: "dense: requires equal inner extents; axis 1 of the input is 4, "
        + "axis 0 of the weight 5, got 3x4 and 5x6"
    ) { (t) throws(TensorError) in try t[0].dense(t[1]) },
    ErrorCase(
      .matmul, "dense_bias", inputs: [[3, 4], [4, 6], [5]],
      sentence: "dense: requires a bias of shape 6, got 5"
    ) { (t) throws(TensorError) in try t[0].dense(t[1], bias: t[2]) },
    ErrorCase(
      .convolution2D, "rank", inputs: [[5, 5, 3], [3, 3, 3, 4]],
      sentence: "convolution2D: requires batch x height x width x channels, got 5x5x3"
    ) { (t) throws(TensorError) in try t[0].convolution2D(t[1]) },
    ErrorCase(
      .convolution2D, "channels", inputs: [[1, 5, 5, 3], [3, 3, 2, 4]],
      sentence: "convolution2D: requires filters for 3 channels of the image, got 1x5x5x3 and "
        + "3x3x2x4"
    ) { (t) throws(TensorError) in try t[0].convolution2D(t[1]) },
    ErrorCase(
      .convolution2D, "groups", inputs: [[1, 5, 5, 3], [3, 3, 1, 4]],
      sentence: "convolution2D: requires groups that divide the channels, got 2 groups of 3 and "
        + "4 channels"
    ) { (t) throws(TensorError) in try t[0].convolution2D(t[1], groups: 2) },
    ErrorCase(
      .convolution2D, "image_too_small", inputs: [[1, 2, 2, 3], [3, 3, 3, 4]],
      sentence: "convolution2D: requires a window that fits into the padded image, got a window "
        + "of 3x3 on an image of 2x2"
    ) { (t) throws(TensorError) in try t[0].convolution2D(t[1]) },
    ErrorCase(
      .convolution2D, "bias", inputs: [[1, 5, 5, 3], [3, 3, 3, 4], [3]],
      sentence: "convolution2D: requires a bias of shape 4, got 3"
    ) { (t) throws(TensorError) in try t[0].convolution2D(t[1], bias: t[2]) },
    ErrorCase(
      .pooling2D, "rank", inputs: [[5, 5]],
      sentence: "maxPooling2D: requires batch x height x width x channels, got 5x5"
    ) { (t) throws(TensorError) in try t[0].maxPooling2D(window: (2, 2)) },
    ErrorCase(
      .pooling2D, "image_too_small", inputs: [[1, 3, 1, 2]],
      sentence: "averagePooling2D: requires a window that fits into the padded image, got a "
        + "window of 2x2 on an image of 3x1"
    ) { (t) throws(TensorError) in try t[0].averagePooling2D(window: (2, 2)) },
    ErrorCase(
      .pooling2D, "window_too_large", inputs: [[1, 20, 20, 1]],
      sentence: "maxPooling2D: requires windows of at most 256 pixels, got 17x16"
    ) { (t) throws(TensorError) in try t[0].maxPooling2D(window: (17, 16)) },
  ]

  private static let normalizations: [ErrorCase] = [
    ErrorCase(
      .batchNormalization, "gamma", inputs: [[4, 3], [2], [3], [3], [3]],
      sentence: "batchNormalization: requires a parameter or statistic of shape 3, got 2"
    ) { (t) throws(TensorError) in
      try t[0].batchNormalization(
        gamma: t[1], beta: t[2], runningMean: t[3], runningVariance: t[4])
    },
    ErrorCase(
      .batchNormalization, "one_row", inputs: [[1, 3], [3], [3], [3], [3]],
      sentence: "batchNormalization: requires at least two values in each channel, got 1x3"
    ) { (t) throws(TensorError) in
      try t[0].batchNormalization(
        gamma: t[1], beta: t[2], runningMean: t[3], runningVariance: t[4])
    },
    ErrorCase(
      .batchNormalization, "momentum", inputs: [[4, 3], [3], [3], [3], [3]],
      sentence: "batchNormalization: requires a momentum in 0 ... 1, got 1.5"
    ) { (t) throws(TensorError) in
      try t[0].batchNormalization(
        gamma: t[1], beta: t[2], runningMean: t[3], runningVariance: t[4], momentum: 1.5)
    },
    ErrorCase(
      .layerNormalization, "beta", inputs: [[4, 3], [3], [4]],
      sentence: "layerNormalization: requires a beta of shape 3, got 4"
    ) { (t) throws(TensorError) in try t[0].layerNormalization(gamma: t[1], beta: t[2]) },
    ErrorCase(
      .layerNormalization, "epsilon", inputs: [[4, 3], [3], [3]],
      sentence: "layerNormalization: requires a finite epsilon above 0, got 0.0"
    ) { (t) throws(TensorError) in
      try t[0].layerNormalization(gamma: t[1], beta: t[2], epsilon: 0)
    },
  ]

  private static let recurrences: [ErrorCase] = [
    ErrorCase(
      .lstm, "rank", inputs: [[4, 3], [3, 8], [2, 8], [8]],
      sentence: "lstm: requires an input of batch x steps x features, got 4x3"
    ) { (t) throws(TensorError) in
      try t[0].lstm(inputWeight: t[1], recurrentWeight: t[2], bias: t[3])
    },
    ErrorCase(
      .lstm, "recurrent_weight", inputs: [[4, 5, 3], [3, 8], [2, 6], [8]],
      sentence: "lstm: requires a recurrent weight of units x 4 units, not empty, got 2x6"
    ) { (t) throws(TensorError) in
      try t[0].lstm(inputWeight: t[1], recurrentWeight: t[2], bias: t[3])
    },
    ErrorCase(
      .lstm, "input_weight", inputs: [[4, 5, 3], [4, 8], [2, 8], [8]],
      sentence: "lstm: requires an input weight of shape 3x8, got 4x8"
    ) { (t) throws(TensorError) in
      try t[0].lstm(inputWeight: t[1], recurrentWeight: t[2], bias: t[3])
    },
    ErrorCase(
      .lstm, "bias", inputs: [[4, 5, 3], [3, 8], [2, 8], [2]],
      sentence: "lstm: requires a bias of shape 8, got 2"
    ) { (t) throws(TensorError) in
      try t[0].lstm(inputWeight: t[1], recurrentWeight: t[2], bias: t[3])
    },
    ErrorCase(
      .lstm, "integers", inputs: [CaseInput([2, 2, 3], .labels(3)), [3, 8], [2, 8], [8]],
      sentence: "lstm: requires float32 elements, got int32 2x2x3"
    ) { (t) throws(TensorError) in
      try t[0].lstm(inputWeight: t[1], recurrentWeight: t[2], bias: t[3])
    },
    ErrorCase(
      .gru, "recurrent_weight", inputs: [[4, 5, 3], [3, 6], [2, 8]],
      sentence: "gru: requires a recurrent weight of units x 3 units, not empty, got 2x8"
    ) { (t) throws(TensorError) in try t[0].gru(inputWeight: t[1], recurrentWeight: t[2]) },
    ErrorCase(
      .matmul, "rnn_recurrent_weight", inputs: [[4, 5, 3], [3, 2], [2, 3]],
      sentence: "simpleRNN: requires a recurrent weight of units x units, not empty, got 2x3"
    ) { (t) throws(TensorError) in try t[0].simpleRNN(inputWeight: t[1], recurrentWeight: t[2]) },
    ErrorCase(
      .matmul, "rnn_activation", inputs: [[4, 5, 3], [3, 2], [2, 2]],
      sentence: "simpleRNN: requires identity, relu, leaky_relu (slope above 0), elu (alpha above "
        + "0), sigmoid or tanh, got gelu"
    ) { (t) throws(TensorError) in
      try t[0].simpleRNN(inputWeight: t[1], recurrentWeight: t[2], activation: .gelu)
    },
  ]

  private static let probabilities: [ErrorCase] = [
    ErrorCase(
      .softmax, "no_columns", inputs: [[4, 0]],
      sentence: "softmax: requires elements in the last axis, got 4x0"
    ) { (t) throws(TensorError) in try t[0].softmax() },
    ErrorCase(
      .softmax, "scalar", inputs: [CaseInput(.scalar)],
      sentence: "logSoftmax: requires elements in the last axis, got scalar"
    ) { (t) throws(TensorError) in try t[0].logSoftmax() },
    ErrorCase(
      .softmaxCrossEntropy, "labels_count", inputs: [[5, 3], integers],
      sentence: "softmaxCrossEntropy: requires one label for each row, got 5x3 and 4"
    ) { (t) throws(TensorError) in try t[0].softmaxCrossEntropy(labels: t[1]) },
    ErrorCase(
      .softmaxCrossEntropy, "labels_float", inputs: [[4, 3], [4]],
      sentence: "softmaxCrossEntropy: requires int32 labels, got float32 4"
    ) { (t) throws(TensorError) in try t[0].softmaxCrossEntropy(labels: t[1]) },
    ErrorCase(
      .softmaxCrossEntropy, "smoothing", inputs: [[4, 3], integers],
      sentence: "softmaxCrossEntropy: requires a smoothing in 0 ..< 1, got 1.0"
    ) { (t) throws(TensorError) in try t[0].softmaxCrossEntropy(labels: t[1], smoothing: 1) },
    ErrorCase(
      .dropout, "rate", inputs: [[4]], sentence: "dropout: requires a rate in 0 ..< 1, got 1.0"
    ) { (t) throws(TensorError) in
      try t[0].dropout(rate: 1, key: RandomKey(seed: 1, .dropout))
    },
    ErrorCase(
      .dropout, "rate_nan", inputs: [[4]],
      sentence: "dropout: requires a rate in 0 ..< 1, got nan"
    ) { (t) throws(TensorError) in
      try t[0].dropout(rate: .nan, key: RandomKey(seed: 1, .dropout))
    },
    ErrorCase(
      .gradientTelescope, "integers", inputs: [integers],
      sentence: "globalNorm: requires float32 elements, got int32 4"
    ) { (t) throws(TensorError) in try t[0].globalNorm() },
  ]
}
