public import KeelAutograd
public import KeelBackend

/// All axes of an example as one.
public struct Flatten: Layer {
  /// A layer without options.
  public init() {}

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape { [input.count] }

  /// Batch x elements.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try x.flattened(fromAxis: 1)
  }
}

/// Sets elements to 0 at random while training, and scales the rest by 1 / (1 - rate)
/// (Srivastava et al., 2014).
///
/// The mask depends on the seed, the layer and the step alone: it is the same on every device.
public struct Dropout: Layer {
  package let rate: Float
  package private(set) var stream = 0

  /// A layer that drops `rate` of its input; 0 drops nothing.
  public init(_ rate: Float) { self.rate = rate }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares nothing.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard rate >= 0, rate < 1 else {
      throw scope.refusal("a rate in 0 ..< 1", gotText: "\(rate)")
    }
    stream = scope.randomStream()
    return input
  }

  /// The thinned batch in training, else the batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    guard pass.isTraining, rate > 0 else { return x }
    return try x.dropout(rate: rate, key: pass.dropoutKey(stream: stream))
  }
}
