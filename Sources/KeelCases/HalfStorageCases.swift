internal import KeelAutograd
internal import KeelBackend

/// Cases of other operations again with operands and results of 16 bits: matrices and images are
/// kept so, vectors (biases, scales, statistics) stay float32, as in a model.
package enum HalfStorageCases {
  /// All of them.
  package static let all: [OperationCase] = OperationName.allCases.flatMap(cases(of:))

  /// Those of one operation.
  static func cases(of operation: OperationName) -> [OperationCase] {
    switch operation {
    case .pointwise:
      variants(PointwiseCases.all, ["add", "multiply", "less", "maximum"])
        + variants(
          PointwiseBroadcastCases.all,
          ["broadcast_row", "broadcast_column", "broadcast_both", "size_131101"], roundings: 2)
    case .reduction: variants(ReductionCases.all, ["sum_last_axis", "max_all_axes"])
    case .stridedCopy:
      variants(
        StridedCopyCases.all,
        ["transpose_matrix_odd", "transpose_images", "slice_rows", "pad_matrix"])
    case .gather: variants(GatherCases.all, ["rows_repeated", "embedding"])
    case .matmul:
      variants(
        DenseCases.all,
        [
          "dense_identity", "dense_relu", "dense_tanh",
          "dense_one_row", "dense_one_unit", "dense_digits_hidden",
        ])
        + variants(
          MatmulCases.all,
          [
            "tn_33x17x65", "nt_130x70x100", "tt_5x7x9", "nn_1x33x129", "nn_31x513x33",
            "nn_7x1100x7", "nn_257x5x3", "batch_left_shared", "batch_two_axes_stretched",
            "nan_19x35x37",
          ])
    case .convolution2D:
      variants(
        Convolution2DCases.all,
        [
          "channels64_64_winograd", "kernel1x1", "kernel1x1_channels48_60", "kernel3x3_relu",
          "stride2_same",
          "dilation2_same", "groups2", "depthwise_channels32", "digits", "channels16_31",
          "channels64_64_stride2",
        ])
    case .pooling2D:
      variants(
        Pooling2DCases.all,
        [
          "maximum_2x2_odd", "average_3x3_stride2_same", "maximum_3x3_overlapping",
          "average_2x2_channels32",
        ])
        // Many distinct numbers are equal in eight bits: then there is no derivative.
        + variants(Pooling2DCases.all, ["maximum_2x2_channels32"], checksGradient: false)
    case .batchNormalization:
      variants(BatchNormalizationCases.all, ["training_gelu"], roundings: 2)
        + variants(
          BatchNormalizationCases.all,
          [
            "training", "training_images_relu_channels32", "training_channels257",
            "inference_relu", "inference_channels64",
          ])
    case .layerNormalization:
      variants(LayerNormalizationCases.all, ["rows7_columns33", "columns1000"])
    case .softmax: variants(SoftmaxCases.all, ["rows7_columns33"])
    case .dropout: variants(DropoutCases.all, ["rate_half", "images", "nan", "count_70001"])
    default: []
    }
  }

  private static func variants(
    _ cases: [OperationCase], _ labels: [String], roundings: Int = 1, checksGradient: Bool = true
  ) -> [OperationCase] {
    // The first in both types, the others in one of them in turn: each form of a kernel is a
    // program to compile.
    labels.enumerated().flatMap { number, label in
      let one = cases.filter { $0.label == label && $0.sizeClass == .small }
      let types: [DType] =
        number == 0 ? [.float16, .bfloat16] : [number % 2 == 0 ? .float16 : .bfloat16]
      precondition(!one.isEmpty, "no case \(label)")
      return one.flatMap { one in
        types.map { one.stored(in: $0, roundings: roundings, checksGradient: checksGradient) }
      }
    }
  }
}

extension OperationCase {
  /// The same with operands of two axes or more (all, if there is none) kept in a 16-bit type.
  ///
  /// - Parameter roundings: how many operations follow each other, each of which keeps its result.
  func stored(in dtype: DType, roundings: Int, checksGradient: Bool) -> OperationCase {
    let hasMatrix = inputs.contains { $0.shape.rank >= 2 }
    let isNarrow = inputs.map { $0.dtype == .float32 && ($0.shape.rank >= 2 || !hasMatrix) }
    let inputs = zip(inputs, isNarrow).map { input, isNarrow in
      var input = input
      if isNarrow { input.rounding = dtype }
      return input
    }
    let run = run
    return OperationCase(
      operation, "\(label)_\(dtype)", inputs: inputs,
      tolerance: .stored(dtype, roundings: roundings, tolerance),
      magnitude: magnitude, differentiable: checksGradient ? differentiable : [],
      condition: condition,
      outputs: { (t) throws(TensorError) in
        var tensors: [Tensor] = []
        for (tensor, isNarrow) in zip(t.tensors, isNarrow) {
          tensors.append(isNarrow ? try tensor.cast(to: dtype) : tensor)
        }
        return try run(CaseOperands(tensors: tensors, device: t.device))
      }, oracles: oracle)
  }
}
