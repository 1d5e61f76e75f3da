public import KeelAutograd
public import KeelBackend

/// y = activation(main(x) + shortcut(x)) (He et al., 2015): the sum of two branches, of which the
/// second is x itself unless a shortcut is given.
///
/// ```swift
/// Residual(activation: .relu) {
///   Conv2D(64, padding: .same, activation: .relu)
///   Conv2D(64, padding: .same)
/// }
/// ```
///
/// The layers of the main branch are named as if they were the block's own (`block1.conv1`), those
/// of the shortcut under `shortcut` (`block1.shortcut.conv1`).
public struct Residual: Layer {
  /// The main branch.
  public private(set) var main: Sequential
  /// The other branch; nil where it is the input itself.
  public private(set) var shortcut: Sequential?
  /// What is applied to the sum, in the same kernel.
  public let activation: Activation

  /// A block of the given branches.
  public init(
    main: Sequential, shortcut: Sequential? = nil, activation: Activation = .identity
  ) {
    self.main = main
    self.shortcut = shortcut
    self.activation = activation
  }

  /// A block around the layers that a block of code lists.
  public init(
    activation: Activation = .identity, @LayerBuilder _ main: () -> [ListedLayer]
  ) {
    self.init(main: Sequential(main), activation: activation)
  }

  /// A block of two branches that blocks of code list.
  public init(
    activation: Activation = .identity, @LayerBuilder _ main: () -> [ListedLayer],
    @LayerBuilder shortcut: () -> [ListedLayer]
  ) {
    self.init(main: Sequential(main), shortcut: Sequential(shortcut), activation: activation)
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Builds both branches.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the axis by which the branches differ.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    let output = try scope.residualBranch { (scope) throws(TensorError) in
      try main.build(&scope, input: input)
    }
    var other = input
    if var branch = shortcut {
      other = try scope.child("shortcut", &branch, input: input)
      shortcut = branch
    }
    guard output == other else {
      let what = shortcut == nil ? "the input" : "the shortcut"
      throw scope.refusal(
        "a main branch that gives the shape of \(what)\(output.difference(from: other))",
        gotText: "\(output) and \(other)")
    }
    return output
  }

  /// The sum for a batch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    // Nobody looks at what the last layer gives: where it normalises, the sum rides along.
    if pass.observer == nil, let last = main.layers.last as? BatchNorm, main.layers.count > 1 {
      let before = try main.withoutLast(x, pass)
      let other = try beside(x, pass)
      if let sum = try last.adding(other, activation: activation, to: before, pass) { return sum }
      return try last(before, pass).adding(other, activation: activation)
    }
    return try main(x, pass).adding(try beside(x, pass), activation: activation)
  }

  /// The other branch for a batch.
  private func beside(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let other = try shortcut.map { (branch) throws(TensorError) in
      try pass.run(branch, as: "shortcut", on: x)
    }
    return other ?? x
  }
}

/// y = [x, main(x)]: the input and what is computed from it side by side along the channels, the
/// last axis (Huang et al., 2017). The gradient of x is the sum over both.
///
/// The layers are named as if they were the block's own, as in ``Residual``.
public struct DenseConnection: Layer {
  /// What is computed from the input.
  public private(set) var main: Sequential

  /// A connection around the given layers.
  public init(main: Sequential) { self.main = main }

  /// A connection around the layers that a block of code lists.
  public init(@LayerBuilder _ main: () -> [ListedLayer]) { self.init(main: Sequential(main)) }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Builds the layers.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the axis by which output and input differ.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    let output = try main.build(&scope, input: input)
    return try joinedShape([input, output], scope)
  }

  /// Input and output side by side.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try .concatenate([x, main(x, pass)], axis: -1)
  }
}

/// The outputs of several branches for the same input, side by side along the channels, the last
/// axis. The branches are named `branch1`, `branch2`, ….
public struct Concatenate: Layer {
  /// The branches, first to last.
  public private(set) var branches: [Sequential]

  /// A layer of the given branches.
  public init(_ branches: Sequential...) { self.branches = branches }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Builds the branches.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that names the axis by which two branches differ.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard !branches.isEmpty else { throw scope.refusal("at least one branch", gotText: "none") }
    var shapes: [Shape] = []
    for i in branches.indices {
      shapes.append(try scope.child("branch\(i + 1)", &branches[i], input: input))
    }
    return try joinedShape(shapes, scope)
  }

  /// The outputs side by side.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    var parts: [Tensor] = []
    for (i, branch) in branches.enumerated() {
      parts.append(try pass.run(branch, as: "branch\(i + 1)", on: x))
    }
    return try .concatenate(parts, axis: -1)
  }
}

/// The shape of parts side by side along the last axis.
private func joinedShape(
  _ shapes: [Shape], _ scope: LayerScope
) throws(TensorError) -> Shape {
  let first = shapes[0]
  var channels = 0
  for shape in shapes {
    guard shape.rank >= 1, shape.rank == first.rank,
      shape.extents.dropLast() == first.extents.dropLast()
    else {
      throw scope.refusal(
        "parts that differ in channels alone"
          + first.difference(from: shape, exceptChannels: true),
        gotText: "\(first) and \(shape)")
    }
    channels += shape[shape.rank - 1]
  }
  return Shape(first.extents.dropLast() + [channels])
}

extension Shape {
  /// Such as `; their channels (axis 2) differ: 64 and 128`, for shapes without the batch axis.
  fileprivate func difference(from other: Shape, exceptChannels: Bool = false) -> String {
    guard rank == other.rank else { return "; one has \(rank) axes, the other \(other.rank)" }
    let axes = exceptChannels ? 0..<(rank - 1) : 0..<rank
    let names = ["height", "width", "channels"]
    let differing = axes.filter { self[$0] != other[$0] }.map { axis in
      let name = rank == 3 ? "\(names[axis]) (axis \(axis))" : "axis \(axis)"
      return "\(name): \(self[axis]) and \(other[axis])"
    }
    return "; they differ in " + differing.joined(separator: ", ")
  }
}
