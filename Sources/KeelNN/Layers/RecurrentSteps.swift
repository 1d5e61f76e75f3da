public import KeelAutograd
public import KeelBackend

/// The first axis as time and all others as features: an image of height x width x channels becomes
/// a sequence of its rows, height x (width * channels). Nothing is copied.
public struct RowsAsSteps: Layer {
  /// A layer without options.
  public init() {}

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard input.rank >= 2, input.count > 0 else {
      throw scope.refusal("an input of two axes or more, none empty", got: input)
    }
    return [input[0], input.count / input[0]]
  }

  /// Batch x steps x features.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.flattened(fromAxis: 2)
  }
}
