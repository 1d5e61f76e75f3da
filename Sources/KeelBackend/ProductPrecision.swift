/// How matrix products and convolutions take their float32 operands.
public enum ProductPrecision: String, Sendable, Codable, CaseIterable {
  /// As they are.
  case float32
  /// Each rounded to the nearest number with ten bits behind the point (relative error 2^-11); sums
  /// stay in float32. Tensor cores of NVIDIA GPUs from compute capability 8.0 on multiply these.
  case tensorFloat32 = "tf32"
}
