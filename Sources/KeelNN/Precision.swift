public import KeelBackend

/// The type in which a model keeps activations and the weights that it computes with.
///
/// Arithmetic is float32 always: a kernel reads 16 bits, computes in float32 and rounds once when
/// it stores. With 16 bits the activations that wait for the backward pass, and the gradients on
/// their way back, take half the memory. In float32 stay: the weights that the optimizer changes
/// (of which a 16-bit copy is made for each pass), their gradients, biases, the parameters and
/// statistics of normalisations, weights of recurrent layers and what goes there from step to step,
/// sums, softmax, the model's output and its loss (Micikevicius et al., 2018).
public enum Precision: String, Hashable, Sendable, Codable, CaseIterable {
  /// 24 bits of precision.
  case float32
  /// 11 bits of precision, numbers from 6e-8 to 65504. Gradients below that range become 0: train
  /// with a loss scale (`Stability(lossScale:)`).
  case float16
  /// 8 bits of precision and the range of float32: needs no loss scale (Kalamkar et al., 2019).
  case bfloat16

  /// The type of the elements.
  public var dtype: DType {
    switch self {
    case .float32: .float32
    case .float16: .float16
    case .bfloat16: .bfloat16
    }
  }
}
