package import KeelBackend

/// Every case of every operation.
package enum CaseCatalog {
  /// The cases of one operation: a new operation does not compile without them.
  package static func cases(of operation: OperationName) -> [OperationCase] {
    cases32(of: operation) + HalfStorageCases.cases(of: operation)
  }

  private static func cases32(of operation: OperationName) -> [OperationCase] {
    switch operation {
    case .pointwise:
      PointwiseCases.all + PointwiseBroadcastCases.all + ActivationCases.all + LossCases.all
    case .biasActivation: BiasActivationCases.all
    case .convert: ConvertCases.all
    case .reduction: ReductionCases.all
    case .argmax: ArgmaxCases.all
    case .fill: FillCases.all
    case .stridedCopy: StridedCopyCases.all
    case .gather: GatherCases.all
    case .oneHot: OneHotCases.all
    case .matmul: MatmulCases.all + DenseCases.all + RecurrentCases.all
    case .convolution2D: Convolution2DCases.all + Convolution2DLargeCases.all
    case .pooling2D: Pooling2DCases.all
    case .lstm: LSTMCases.all
    case .gru: GRUCases.all
    case .batchNormalization: BatchNormalizationCases.all
    case .layerNormalization: LayerNormalizationCases.all
    case .softmax: SoftmaxCases.all
    case .softmaxCrossEntropy: SoftmaxCrossEntropyCases.all
    case .random: RandomCases.all
    case .dropout: DropoutCases.all
    case .gradientTelescope: GradientTelescopeCases.all
    case .stepControl: StepControlCases.all
    case .gradientClip: GradientClipCases.all
    case .optimizerStep: OptimizerStepCases.all + MirrorStepCases.all
    case .gradientNoise: GradientNoiseCases.all
    case .regularization: RegularizationCases.all
    case .unitNorm: UnitNormCases.all
    case .multiplyAddPeak: MultiplyAddPeakCases.all
    }
  }

  /// All cases, in the order of the operations.
  package static let all: [OperationCase] = OperationName.allCases.flatMap(cases(of:))

  /// The cases that are checked.
  package static let small = all.filter { $0.sizeClass == .small }

  /// The cases that are timed.
  package static let large = all.filter { $0.sizeClass == .large }

  /// Calls that must be refused.
  package static let errors: [ErrorCase] = ErrorCases.all

  /// What users call some operations.
  private static let aliases = [
    "conv2d/": "convolution2d/", "pool2d/": "pooling2d/", "batch_norm/": "batch_normalization/",
    "layer_norm/": "layer_normalization/", "cross_entropy/": "softmax_cross_entropy/",
    "optimizer/": "optimizer_step/",
  ]

  /// An id with its operation's alias replaced by the stem.
  package static func canonical(_ id: String) -> String {
    for (alias, stem) in aliases where id.hasPrefix(alias) {
      return stem + id.dropFirst(alias.count)
    }
    return id
  }

  /// The case of exactly this id (aliases such as `conv2d/…` are understood), or nil.
  package static func find(_ id: String) -> OperationCase? {
    let id = canonical(id)
    return all.first { $0.id == id }
  }

  /// The cases whose id contains the text; all for an empty text.
  package static func matching(_ text: String, in cases: [OperationCase]) -> [OperationCase] {
    guard !text.isEmpty else { return cases }
    let text = canonical(text)
    // A stem alone may be an alias too.
    let stem = canonical(text + "/").dropLast()
    return cases.filter { $0.id.contains(text) || $0.id.contains(stem) }
  }
}
