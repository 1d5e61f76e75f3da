public import KeelAutograd
public import KeelBackend

/// A part of a network: a struct that declares its parameters once and computes with them.
///
/// One's own layer or model is a struct of a few lines:
///
/// ```swift
/// struct Residual: Layer {
///   var inner = Dense(64, activation: .relu)
///   mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
///     try scope.child("inner", &inner, input: input)
///   }
///   func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
///     try x + pass.run(inner, as: "inner", on: x)
///   }
/// }
/// ```
public protocol Layer {
  /// What summaries and error messages call it; its type's name unless it says otherwise.
  var kind: String { get }

  /// Whether the layer asks the device for the same work in every training pass over batches of one
  /// shape: no `if` on values, on ``Pass/step`` or on anything outside, nothing read, and random
  /// numbers only from ``Pass/dropoutKey(stream:)``. Training then records a step and repeats the
  /// record, without running the layer's Swift code again. False unless the layer says otherwise.
  var repeatsItself: Bool { get }

  /// Declares parameters, states and children for an input of the given shape, and returns the
  /// shape of the output; both without the batch axis.
  ///
  /// - Throws: ``TensorError/shape(_:)`` where the layer cannot take the input; see
  ///   ``LayerScope/refusal(_:got:)``.
  mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape

  /// The output for a batch of inputs.
  func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor
}

extension Layer {
  /// The name of the type.
  public var kind: String { String(describing: Self.self) }

  /// False: the layer's code runs in every step.
  public var repeatsItself: Bool { false }

  /// The same layer under a name of its own within a ``Sequential``.
  public func named(_ name: String) -> NamedLayer { NamedLayer(self, name: name) }
}

/// One computation with a model: what it is for, and the key to its parameters.
public struct Pass {
  /// Whether this is training: parameters are differentiated, dropout drops, batch normalisation
  /// uses the batch.
  public let isTraining: Bool
  /// The seed of the model's random numbers.
  public let seed: UInt64
  /// What selects fresh random numbers: the number of the training pass.
  public let step: UInt64
  /// The path of the layer that computes; known while somebody watches.
  package var path = ""
  /// Who watches.
  package var observer: (any LayerObserver)?

  package init(isTraining: Bool, seed: UInt64, step: UInt64) {
    self.isTraining = isTraining
    self.seed = seed
    self.step = step
  }

  /// The values of a parameter: differentiated by in training unless it is frozen. Weights are in
  /// the model's ``Precision``.
  public subscript(parameter: Parameter?) -> Tensor {
    get throws(TensorError) {
      let (place, isTracked) = try self.place(of: parameter)
      return isTracked ? place.working.tracked : place.working.detached
    }
  }

  /// The same in float32, whatever the model's precision.
  func exact(_ parameter: Parameter?) throws(TensorError) -> Tensor {
    let (place, isTracked) = try self.place(of: parameter)
    return isTracked ? place.tracked : place.detached
  }

  private func place(
    of parameter: Parameter?
  ) throws(TensorError) -> (place: Parameter.Place, isTracked: Bool) {
    guard let parameter else { throw Pass.notBuilt("parameter") }
    guard let place = parameter.place else { throw Pass.notBuilt(parameter.name) }
    return (place, isTraining && parameter.isTrainable)
  }

  /// The values of a state.
  public subscript(state: StateBuffer?) -> Tensor {
    get throws(TensorError) {
      guard let state else { throw Pass.notBuilt("state") }
      guard let tensor = state.tensor else { throw Pass.notBuilt(state.name) }
      return tensor
    }
  }

  /// The key of this pass's random numbers for a stream of ``LayerScope/randomStream()``.
  public func dropoutKey(stream: Int) -> RandomKey {
    RandomKey(seed: seed, .dropout, index: stream, step: step)
  }

  private static func notBuilt(_ name: String) -> TensorError {
    .shape(
      ShapeError(
        "model", requires: "layers that were built as part of a Model",
        gotText: "'\(name)' of a layer that was not"))
  }
}
