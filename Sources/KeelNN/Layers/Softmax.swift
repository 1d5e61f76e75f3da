public import KeelAutograd
public import KeelBackend

/// exp(x) / sum of exp(x) over the last axis: probabilities.
///
/// Not for the end of a network that trains with ``Loss/softmaxCrossEntropy(labelSmoothing:)``:
/// that loss takes logits and applies the softmax itself, and a second one makes gradients small.
public struct Softmax: Layer {
  /// A layer without options.
  public init() {}

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard let columns = input.extents.last, columns > 0 else {
      throw scope.refusal("an input of at least one axis, none empty", got: input)
    }
    return input
  }

  /// The probabilities of a batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.softmax()
  }
}
