/// Every operation of the library; the raw value is the stem of its files, kernels and cases.
public enum OperationName: String, Sendable, CaseIterable, Codable {
  // Floor of elementwise work.
  case pointwise
  case biasActivation = "bias_activation"
  case convert
  // Reductions.
  case reduction
  case argmax
  // Movement.
  case fill
  case stridedCopy = "strided_copy"
  case gather
  case oneHot = "one_hot"
  // Linear algebra and images.
  case matmul
  case convolution2D = "convolution2d"
  case pooling2D = "pooling2d"
  // Sequences.
  case lstm
  case gru
  // Normalisation and probabilities.
  case batchNormalization = "batch_normalization"
  case layerNormalization = "layer_normalization"
  case softmax
  case softmaxCrossEntropy = "softmax_cross_entropy"
  // Randomness.
  case random
  case dropout
  // Optimisation.
  case gradientTelescope = "gradient_telescope"
  case stepControl = "step_control"
  case gradientClip = "gradient_clip"
  case optimizerStep = "optimizer_step"
  case gradientNoise = "gradient_noise"
  case regularization
  case unitNorm = "unit_norm"
  // The measure of the others: not for users, no gradient, has cases and benchmarks like any other.
  case multiplyAddPeak = "multiply_add_peak"
}
