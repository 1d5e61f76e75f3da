public import KeelBackend

/// What a layer declares its parameters, states and children with, while a model is built.
public struct LayerScope {
  /// The path of the layer, such as `block1.conv`; empty for the outermost.
  public let path: String
  private let kind: String
  let declarations: LayerDeclarations

  init(path: String, kind: String, declarations: LayerDeclarations) {
    self.path = path
    self.kind = kind
    self.declarations = declarations
  }

  /// Declares a parameter.
  ///
  /// - Parameters:
  ///   - name: its name within the layer, such as `weight`.
  ///   - fanIn: how many inputs one output sums over.
  ///   - fanOut: how many outputs one input reaches.
  ///   - decays: whether weight decay applies; by default only with two axes or more.
  /// - Throws: ``TensorError/shape(_:)`` when the name is taken or the initializer invalid.
  public mutating func parameter(
    _ name: String, shape: Shape, initializer: Initializer, fanIn: Int, fanOut: Int,
    decays: Bool? = nil
  ) throws(TensorError) -> Parameter {
    let full = try claim(name)
    guard shape.isCountable else { throw refusal("parameters that fit a memory", got: shape) }
    guard shape.count > 0 else { throw refusal("parameters with elements", got: shape) }
    if let complaint = initializer.complaint(for: shape) {
      throw refusal(complaint, gotText: "\(initializer) for '\(name)'")
    }
    let parameter = Parameter(
      name: full, shape: shape, initializer: initializer, fanIn: fanIn, fanOut: fanOut,
      decays: decays ?? (shape.rank >= 2), index: declarations.parameters.count)
    declarations.parameters.append(parameter)
    return parameter
  }

  /// Declares a state of equal elements.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when the name is taken.
  public mutating func state(
    _ name: String, shape: Shape, initialValue: Float
  ) throws(TensorError) -> StateBuffer {
    let state = StateBuffer(name: try claim(name), shape: shape, initialValue: initialValue)
    declarations.states.append(state)
    return state
  }

  /// Builds a layer within this one and returns the shape of its output.
  ///
  /// - Throws: what the child throws, or ``TensorError/shape(_:)`` when the name is taken.
  public mutating func child<Child: Layer>(
    _ name: String, _ layer: inout Child, input: Shape
  ) throws(TensorError) -> Shape {
    let childPath = try claim(name)
    var scope = LayerScope(path: childPath, kind: layer.kind, declarations: declarations)
    let firstParameter = declarations.parameters.count
    let place = declarations.rows.count
    let treePlace = declarations.tree.count
    let output = try layer.build(&scope, input: input)
    // Before its own children: parents come first.
    declarations.tree.insert(
      BuiltLayer(path: childPath, layer: layer, input: input, output: output), at: treePlace)
    // A layer made of layers is listed by its parts.
    if declarations.rows.count == place {
      declarations.rows.append(
        LayerSummary(
          name: childPath, kind: layer.kind, output: output,
          parameters: Array(declarations.parameters[firstParameter...])))
    }
    return output
  }

  /// Builds a layer whose output is added to this one's input, and returns the shape of its
  /// output: the branch of a residual connection, which Fixup initialisation then knows.
  ///
  /// - Throws: as ``child(_:_:input:)``.
  public mutating func residualBranch<Branch: Layer>(
    _ name: String, _ layer: inout Branch, input: Shape
  ) throws(TensorError) -> Shape {
    let first = declarations.parameters.count
    let output = try child(name, &layer, input: input)
    noteResidualBranch(path.isEmpty ? name : "\(path).\(name)", since: first)
    return output
  }

  /// The same for a branch that is built under the names of this layer itself.
  ///
  /// - Parameter build: builds it.
  public mutating func residualBranch(
    _ build: (inout LayerScope) throws(TensorError) -> Shape
  ) throws(TensorError) -> Shape {
    let first = declarations.parameters.count
    let output = try build(&self)
    noteResidualBranch(path, since: first)
    return output
  }

  private func noteResidualBranch(_ path: String, since first: Int) {
    declarations.residualBranches.append(
      ResidualBranch(path: path, parameters: first..<declarations.parameters.count))
  }

  /// A stream of random numbers of the layer's own; see ``Pass/dropoutKey(stream:)``.
  public mutating func randomStream() -> Int {
    declarations.streams += 1
    return declarations.streams - 1
  }

  /// The error of a layer that cannot take an input: names the layer, what it requires and what
  /// it got.
  public func refusal(_ requirement: String, got shape: Shape) -> TensorError {
    .shape(ShapeError(title, requires: requirement, got: shape))
  }

  /// The error of a layer with an option that is not usable.
  public func refusal(_ requirement: String, gotText: String) -> TensorError {
    .shape(ShapeError(title, requires: requirement, gotText: gotText))
  }

  private var title: String { path.isEmpty ? kind : "\(path) (\(kind))" }

  private func claim(_ name: String) throws(TensorError) -> String {
    let full = path.isEmpty ? name : "\(path).\(name)"
    guard !name.isEmpty, declarations.names.insert(full).inserted else {
      throw refusal("distinct names that are not empty", gotText: "'\(name)' again")
    }
    return full
  }
}

/// What the layers of a model have declared.
final class LayerDeclarations {
  var parameters: [Parameter] = []
  var states: [StateBuffer] = []
  var rows: [LayerSummary] = []
  var tree: [BuiltLayer] = []
  var names: Set<String> = []
  var residualBranches: [ResidualBranch] = []
  var streams = 0
}

/// A layer of a model as it was built: what it holds are the model's own parameters and states.
package struct BuiltLayer {
  /// Its path, such as `stage1.block1.conv1`; empty for the outermost.
  package let path: String
  /// The layer; a name given by ``Layer/named(_:)`` is taken off.
  package let layer: any Layer
  /// The shape of its input, without the batch axis.
  package let input: Shape
  /// The shape of its output, without the batch axis.
  package let output: Shape

  init(path: String, layer: any Layer, input: Shape, output: Shape) {
    self.path = path
    self.layer = layer.unnamed
    self.input = input
    self.output = output
  }
}

/// The part of a model whose output is added to its input.
package struct ResidualBranch: Sendable {
  /// The path of the branch, or of the layer that it belongs to.
  package let path: String
  /// The indices of the parameters declared in it.
  package let parameters: Range<Int>
}

/// A line of a model's summary.
public struct LayerSummary {
  /// The layer's path.
  public let name: String
  /// What it is, such as `Conv2D`.
  public let kind: String
  /// The shape of its output, without the batch axis.
  public let output: Shape
  /// Its parameters.
  public let parameters: [Parameter]

  /// How many numbers its parameters have.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }
}
