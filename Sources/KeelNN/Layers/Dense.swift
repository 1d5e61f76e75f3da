public import KeelAutograd
public import KeelBackend

/// y = activation(x · weight + bias) on the last axis (Keras' and PyTorch's Linear).
///
/// Parameters: `weight`, inputs x units; `bias`, units.
public struct Dense: Layer {
  package let units: Int
  package let activation: Activation
  package let usesBias: Bool
  package let initializer: Initializer
  package let biasInitializer: Initializer
  package private(set) var weight: Parameter?
  package private(set) var bias: Parameter?
  /// What a folded normalisation adds; one object for all copies of the layer within a model.
  package private(set) var epilogue = FoldedEpilogue()

  /// A layer of `units` outputs.
  public init(
    _ units: Int, activation: Activation = .identity, usesBias: Bool = true,
    initializer: Initializer = .glorotUniform, biasInitializer: Initializer = .zeros
  ) {
    self.units = units
    self.activation = activation
    self.usesBias = usesBias
    self.initializer = initializer
    self.biasInitializer = biasInitializer
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `weight` and `bias`.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard units >= 1 else { throw scope.refusal("at least one unit", gotText: "\(units)") }
    guard let inputs = input.extents.last, inputs >= 1 else {
      throw scope.refusal("an input of at least one axis, none empty", got: input)
    }
    epilogue = FoldedEpilogue()
    weight = try scope.parameter(
      "weight", shape: [inputs, units], initializer: initializer, fanIn: inputs, fanOut: units)
    if usesBias {
      bias = try scope.parameter(
        "bias", shape: [units], initializer: biasInitializer, fanIn: inputs, fanOut: units)
    }
    return Shape(input.extents.dropLast() + [units])
  }

  /// The output for a batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let bias = try epilogue.bias(or: bias, pass)
    let activation = epilogue.activation ?? activation
    return try pass.fusing(activation, weight) { (activation) throws(TensorError) in
      try x.dense(pass[weight], bias: bias, activation: activation)
    }
  }
}
