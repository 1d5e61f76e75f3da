public import KeelAutograd
public import KeelBackend

/// A tensor that training changes: declared by a layer, placed by a model in its arena.
public final class Parameter {
  /// Its path in the model, such as `conv1.weight`.
  public let name: String
  /// Its shape.
  public let shape: Shape
  /// How its first values are made.
  public internal(set) var initializer: Initializer
  /// How its layer declared that.
  let declaredInitializer: Initializer
  /// How many inputs one output sums over, as the layer declared it.
  public let fanIn: Int
  /// How many outputs one input reaches, as the layer declared it.
  public let fanOut: Int
  /// Whether weight decay applies to it: by default not to biases and norm parameters.
  public let decays: Bool
  /// Whether training changes it; see ``Model/freeze(_:)``.
  public internal(set) var isTrainable = true
  /// What its steps are multiplied by, above 0; see ``Model/setLearningRateScale(_:at:)``.
  public internal(set) var learningRateScale: Float = 1

  /// Its number in the order of declaration: the index of its random numbers.
  package let index: Int
  /// Where it lives, once a model has placed it.
  package internal(set) var place: Place?

  /// The memory of a parameter within the arena of its model.
  package struct Place {
    /// The first element in the flat buffers, a multiple of ``ArenaBlock/count``.
    package let offset: Int
    /// The leaf that training differentiates by.
    package let tracked: Tensor
    /// The same memory, without a gradient.
    package let detached: Tensor
    /// Both of what the network computes with: the 16-bit copy where the model keeps one of this
    /// parameter, whose gradient is that of ``tracked``; else the same tensors.
    package let working: (tracked: Tensor, detached: Tensor)
    /// The slice of the gradient buffer.
    package let gradient: NDArray
    /// The standard deviation of the first values.
    package internal(set) var firstDeviation: Double
  }

  init(
    name: String, shape: Shape, initializer: Initializer, fanIn: Int, fanOut: Int, decays: Bool,
    index: Int
  ) {
    self.name = name
    self.shape = shape
    self.initializer = initializer
    declaredInitializer = initializer
    self.fanIn = fanIn
    self.fanOut = fanOut
    self.decays = decays
    self.index = index
  }

  /// Its values as a tensor without a gradient that follows training, or nil before a model
  /// holds it.
  public var tensor: Tensor? { place?.detached }

  /// Its gradient as of the last backward pass, or nil before a model holds it.
  public var gradient: Tensor? {
    place.map { Tensor(value: $0.gradient, device: $0.detached.device, requiresGradient: false) }
  }
}

/// Numbers that a layer keeps besides its parameters, such as running statistics: saved with the
/// model, never differentiated, not touched by the optimizer.
public final class StateBuffer {
  /// Its path in the model, such as `norm1.running_mean`.
  public let name: String
  /// Its shape.
  public let shape: Shape
  /// The value of all its elements at first.
  public let initialValue: Float
  /// Its memory, once a model has placed it; layers may write into it while training.
  public internal(set) var tensor: Tensor?

  init(name: String, shape: Shape, initialValue: Float) {
    self.name = name
    self.shape = shape
    self.initialValue = initialValue
  }
}
