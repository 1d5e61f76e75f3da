public import KeelAutograd
public import KeelBackend

/// Layers one after the other.
///
/// ```swift
/// let network = Sequential {
///   Conv2D(32, kernel: 3, activation: .relu)
///   MaxPool2D(2)
///   Flatten()
///   Dense(10)
/// }
/// ```
///
/// Its layers are named by what they are and numbered: `conv1`, `maxpool1`, `dense1`, `dense2`;
/// ``Layer/named(_:)`` gives another name.
public struct Sequential: Layer {
  /// The layers, first to last.
  public private(set) var layers: [any Layer]
  /// Their names, once built.
  package private(set) var names: [String] = []
  /// Where the program lists them, if it is known.
  package let sources: [SourceLocation?]

  /// The layers of an array.
  public init(_ layers: [any Layer]) {
    self.layers = layers
    sources = layers.map { _ in nil }
  }

  /// The layers that a block lists; `if` and `for` may choose among them.
  public init(@LayerBuilder _ layers: () -> [ListedLayer]) {
    let listed = layers()
    self.layers = listed.map(\.layer)
    sources = listed.map(\.source)
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Builds the layers in turn.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard !layers.isEmpty else { throw scope.refusal("at least one layer", gotText: "none") }
    var shape = input
    var numbers: [String: Int] = [:]
    names = []
    for i in layers.indices {
      let name: String
      if let named = layers[i] as? NamedLayer {
        name = named.name
      } else {
        let base = baseName(layers[i].kind)
        numbers[base, default: 0] += 1
        name = "\(base)\(numbers[base, default: 1])"
      }
      names.append(name)
      shape = try scope.child(name, &layers[i], input: shape)
    }
    return shape
  }

  /// The output of the last layer.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try first(layers.count, x, pass)
  }

  /// The output of the last layer but one.
  func withoutLast(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try first(layers.count - 1, x, pass)
  }

  private func first(_ count: Int, _ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    var x = x
    for (number, layer) in layers.prefix(count).enumerated() {
      let name = number < names.count ? names[number] : "\(number)"
      x = try pass.run(layer, as: name, on: x, source: sources[number])
    }
    return x
  }

  /// `Conv2D` becomes `conv`.
  private func baseName(_ kind: String) -> String {
    let lower = kind.lowercased()
    return lower.hasSuffix("2d") ? String(lower.dropLast(2)) : lower
  }
}

/// A layer under a name of its own; made by ``Layer/named(_:)``.
public struct NamedLayer: Layer {
  /// The name.
  public let name: String
  /// The layer itself.
  package private(set) var layer: any Layer

  init(_ layer: any Layer, name: String) {
    self.layer = layer
    self.name = name
  }

  /// That of the layer.
  public var kind: String { layer.kind }

  /// That of the layer.
  public var repeatsItself: Bool { layer.repeatsItself }

  /// Builds the layer.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape { try layer.build(&scope, input: input) }

  /// The layer's output.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try layer(x, pass)
  }
}

extension Layer {
  /// The layer without a name that ``named(_:)`` gave it.
  package var unnamed: any Layer { (self as? NamedLayer)?.layer.unnamed ?? self }
}

/// A layer as a block lists it.
public struct ListedLayer {
  /// The layer.
  public var layer: any Layer
  /// Where the program lists it.
  public var source: SourceLocation?
}

/// Collects the layers of a block.
@resultBuilder
public enum LayerBuilder {
  /// One layer.
  public static func buildExpression(
    _ layer: any Layer, file: String = #fileID, line: Int = #line
  ) -> [ListedLayer] {
    [ListedLayer(layer: layer, source: SourceLocation(file: file, line: line))]
  }
  /// Several at once.
  public static func buildExpression(
    _ layers: [any Layer], file: String = #fileID, line: Int = #line
  ) -> [ListedLayer] {
    layers.map { ListedLayer(layer: $0, source: SourceLocation(file: file, line: line)) }
  }
  /// A list.
  public static func buildBlock(_ parts: [ListedLayer]...) -> [ListedLayer] {
    parts.flatMap { $0 }
  }
  /// An `if` without `else`.
  public static func buildOptional(_ part: [ListedLayer]?) -> [ListedLayer] { part ?? [] }
  /// The first branch.
  public static func buildEither(first part: [ListedLayer]) -> [ListedLayer] { part }
  /// The other branch.
  public static func buildEither(second part: [ListedLayer]) -> [ListedLayer] { part }
  /// A `for`.
  public static func buildArray(_ parts: [[ListedLayer]]) -> [ListedLayer] {
    parts.flatMap { $0 }
  }
}
