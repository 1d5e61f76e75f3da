public import KeelAutograd
public import KeelBackend

/// A network with its parameters on a device.
///
/// ```swift
/// let model = try Model(
///   Sequential { Flatten(); Dense(128, activation: .relu); Dense(10) },
///   input: [28, 28, 1], device: .cpu, seed: 7)
/// print(model.summary())
/// let logits = try model(images)
/// ```
public final class Model {
  /// The shape of one input, without the batch axis.
  public let inputShape: Shape
  /// The shape of one output, without the batch axis.
  public let outputShape: Shape
  /// Where the model lives.
  public let device: Device
  /// The seed of its first values and of its dropout.
  public let seed: UInt64
  /// The type of its activations and of the weights that it computes with.
  public let precision: Precision
  /// The recipe it was made from, if it was.
  public let recipe: ModelRecipe?
  /// All parameters, in the order of declaration.
  public let parameters: [Parameter]
  /// All states, in the order of declaration.
  public let states: [StateBuffer]
  /// The layers with their shapes and parameters.
  public let layers: [LayerSummary]
  /// What gave the weights their first values in place of the layers' own initialisers; see
  /// ``initialize(_:at:)``.
  public internal(set) var initializer: Initializer?
  /// What has fitted the first values to data or an optimizer since, such as `LSUV`; nil if nothing
  /// has.
  public package(set) var initializationMethod: String?

  /// The parts whose output is added to their input, inner ones before those around them.
  package let residualBranches: [ResidualBranch]
  package let arena: ParameterArena
  /// The layers, built.
  package let network: any Layer
  /// Every layer of the network with its path, at any depth, parents before their children.
  package let builtLayers: [BuiltLayer]
  private let parameterOfLeaf: [ObjectIdentifier: Parameter]
  private var passes: UInt64 = 0
  /// What backward passes begin with, by its bits.
  private var seeds: [UInt32: NDArray] = [:]

  /// Builds a network for inputs of the given shape (without the batch axis) and gives its
  /// parameters their first values: the same bits on every device for the same seed.
  ///
  /// - Parameter precision: the type in which activations are kept, and weights as far as the
  ///   network computes with them.
  /// - Throws: ``TensorError`` when the layers do not fit together or memory is short.
  public convenience init(
    _ network: any Layer, input: Shape, device: Device, seed: UInt64 = 0,
    precision: Precision = .float32
  ) throws(TensorError) {
    try self.init(
      network, recipe: nil, input: input, device: device, seed: seed, precision: precision)
  }

  /// Builds a network that can be rebuilt from its description.
  ///
  /// - Throws: as the other initializer.
  public convenience init(
    _ recipe: ModelRecipe, input: Shape, device: Device, seed: UInt64 = 0,
    precision: Precision = .float32
  ) throws(TensorError) {
    try self.init(
      recipe.network, recipe: recipe, input: input, device: device, seed: seed,
      precision: precision)
  }

  private init(
    _ network: any Layer, recipe: ModelRecipe?, input: Shape, device: Device, seed: UInt64,
    precision: Precision
  ) throws(TensorError) {
    try requireUsable(input, "model")
    let declarations = LayerDeclarations()
    var scope = LayerScope(path: "", kind: network.kind, declarations: declarations)
    var network = network
    outputShape = try network.build(&scope, input: input)
    if declarations.rows.isEmpty {
      declarations.rows.append(
        LayerSummary(
          name: network.kind.lowercased(), kind: network.kind, output: outputShape,
          parameters: declarations.parameters))
    }
    self.network = network
    let root = BuiltLayer(path: "", layer: network, input: input, output: outputShape)
    builtLayers = [root] + declarations.tree
    self.recipe = recipe
    self.device = device
    self.seed = seed
    self.precision = precision
    inputShape = input
    parameters = declarations.parameters
    states = declarations.states
    layers = declarations.rows
    residualBranches = declarations.residualBranches
    arena = try ParameterArena(
      parameters, states: states, device: device, seed: seed, precision: precision)
    var leaves: [ObjectIdentifier: Parameter] = [:]
    for parameter in parameters {
      if let place = parameter.place { leaves[ObjectIdentifier(place.tracked)] = parameter }
    }
    parameterOfLeaf = leaves
  }

  /// The output for a batch of inputs, for use rather than for training.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless `x` is batch x ``inputShape``.
  public func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
    try self(x, Pass(isTraining: false, seed: seed, step: 0))
  }

  /// The output for a batch of inputs within a pass.
  ///
  /// - Throws: as the other form.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    guard x.shape.rank == inputShape.rank + 1,
      Array(x.shape.extents.dropFirst()) == inputShape.extents
    else {
      throw .shape(
        ShapeError("model", requires: "inputs of batch x \(inputShape)", got: x.shape))
    }
    OperationTrace.observer?.met(x, as: "the input batch")
    guard precision.dtype.isHalf else { return try network(x, pass) }
    // Whoever changed the parameters since: the network computes with what they are now.
    try arena.refreshHalves()
    let input = x.dtype.isFloat ? try x.cast(to: precision.dtype) : x
    return try network(input, pass).cast(to: .float32)
  }

  /// The number of the last training pass; 0 before the first.
  package var lastPass: UInt64 { passes == 0 ? 0 : passes - 1 }

  /// A training pass of a given number.
  package func trainingPass(step: UInt64) -> Pass {
    Pass(isTraining: true, seed: seed, step: step)
  }

  /// Computes a loss and the gradient of every trainable parameter, which goes to the arena.
  ///
  /// - Parameters:
  ///   - pass: selects fresh dropout masks; by default it counts up.
  ///   - loss: from a training pass to a scalar.
  /// - Throws: ``TensorError`` of the computation, or when the loss is not a scalar.
  public func valueAndGradient(
    pass: UInt64? = nil, _ loss: (Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor {
    let step = pass ?? passes
    passes = step &+ 1
    return try valueAndGradient(step: step, weight: 1, accumulates: false, loss)
  }

  /// The same with the gradient multiplied by `weight` and, if wanted, added to what is there.
  package func valueAndGradient(
    step: UInt64, weight: Float, accumulates: Bool,
    _ loss: (Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor {
    if !accumulates { try arena.keepStates() }
    let value = try loss(Pass(isTraining: true, seed: seed, step: step))
    guard value.shape.count == 1 else {
      throw .shape(ShapeError("gradient", requires: "a scalar loss", got: value.shape))
    }
    var reached: Set<Int> = []
    if value.requiresGradient {
      try value.backward(
        seed: weight, seedArray: seed(weight), accumulate: accumulates, keepsGraph: false
      ) { leaf in
        guard let parameter = parameterOfLeaf[ObjectIdentifier(leaf)] else { return nil }
        reached.insert(parameter.index)
        return parameter.place?.gradient
      }
    }
    guard !accumulates else { return value.detached() }
    // A parameter that the loss does not depend on must not keep the gradient of another step.
    for parameter in parameters where parameter.isTrainable && !reached.contains(parameter.index) {
      guard let place = parameter.place else { continue }
      try onDevice { () throws(DeviceError) in
        try device.backend.fill(place.gradient, with: 0)
      }
    }
    return value.detached()
  }
}

extension Model {
  /// An element of a value, made once: before a step is recorded that begins its way back with it,
  /// so that the step is the same work from the first one on.
  @discardableResult
  package func seed(_ weight: Float) throws(TensorError) -> NDArray {
    if let known = seeds[weight.bitPattern] { return known }
    if seeds.count == 16 { seeds = [:] }
    let made = try onDevice { () throws(DeviceError) in
      let array = try device.backend.allocate([1], .float32)
      try device.backend.fill(array, with: weight)
      return array
    }
    seeds[weight.bitPattern] = made
    return made
  }

  /// Keeps every parameter as it is from now on, bit for bit.
  public func freeze() throws(TensorError) { try setTrainable(false, parameters) }

  /// Lets training change every parameter again.
  public func unfreeze() throws(TensorError) { try setTrainable(true, parameters) }

  /// Keeps the parameters of a layer, or one parameter, as they are from now on.
  ///
  /// - Parameter prefix: a path such as `conv1` or `conv1.weight`.
  /// - Throws: ``TensorError/shape(_:)`` when there is none of that path.
  public func freeze(_ prefix: String) throws(TensorError) {
    try setTrainable(false, matching(prefix))
  }

  /// Lets training change the parameters of a layer, or one parameter, again.
  ///
  /// - Throws: as ``freeze(_:)``.
  public func unfreeze(_ prefix: String) throws(TensorError) {
    try setTrainable(true, matching(prefix))
  }

  /// The values of a parameter or state, row-major.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when there is none of that name.
  public func weights(named name: String) throws(TensorError) -> [Float] {
    try tensor(named: name).scalars()
  }

  /// Replaces the values of a parameter or state.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when there is none of that name, or the count differs.
  public func setWeights(_ values: [Float], named name: String) throws(TensorError) {
    let tensor = try tensor(named: name)
    guard values.count == tensor.shape.count else {
      throw .shape(
        ShapeError(
          name, requires: "\(tensor.shape.count) values", gotText: "\(values.count)"))
    }
    try onDevice { () throws(DeviceError) in
      try device.backend.upload(values, to: tensor.value)
    }
  }

  private func tensor(named name: String) throws(TensorError) -> Tensor {
    if let tensor = parameters.first(where: { $0.name == name })?.tensor { return tensor }
    if let tensor = states.first(where: { $0.name == name })?.tensor { return tensor }
    throw unknown(name)
  }

  func matching(_ prefix: String) throws(TensorError) -> [Parameter] {
    let found = parameters.filter { $0.name == prefix || $0.name.hasPrefix(prefix + ".") }
    guard !found.isEmpty else { throw unknown(prefix) }
    return found
  }

  private func setTrainable(_ trains: Bool, _ chosen: [Parameter]) throws(TensorError) {
    for parameter in chosen { parameter.isTrainable = trains }
    try arena.writeScales(parameters)
  }

  private func unknown(_ name: String) -> TensorError {
    let names = parameters.map(\.name).joined(separator: ", ")
    return .shape(
      ShapeError("model", requires: "the path of a layer or parameter: \(names)", gotText: name))
  }
}
