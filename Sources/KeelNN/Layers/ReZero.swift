public import KeelAutograd
public import KeelBackend

/// y = x + alpha * branch(x), with one learned number alpha that is 0 at first: the block, and so a
/// stack of any depth, starts as the identity (ReZero, Bachlechner et al., 2020; SkipInit, De &
/// Smith, 2020).
///
/// Parameters: `alpha`, one number without decay; those of the branch under `branch`.
public struct ReZero: Layer {
  package private(set) var branch: any Layer
  private let initialScale: Float
  private var alpha: Parameter?

  /// A residual block around a layer whose output has the shape of its input.
  ///
  /// - Parameter initialScale: alpha at first; 0 is the paper's.
  public init(_ branch: any Layer, initialScale: Float = 0) {
    self.branch = branch
    self.initialScale = initialScale
  }

  /// A residual block around layers one after the other.
  public init(initialScale: Float = 0, @LayerBuilder _ layers: () -> [ListedLayer]) {
    self.init(Sequential(layers), initialScale: initialScale)
  }

  /// True: every training pass is the same work.
  public var repeatsItself: Bool { true }

  /// Declares `alpha` and builds the branch.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape {
    guard initialScale.isFinite else {
      throw scope.refusal("a finite initial scale", gotText: "\(initialScale)")
    }
    alpha = try scope.parameter(
      "alpha", shape: [1], initializer: .constant(initialScale), fanIn: 1, fanOut: 1,
      decays: false)
    let output = try scope.residualBranch("branch", &branch, input: input)
    guard output == input else {
      throw scope.refusal(
        "a branch whose output has the shape of its input, \(input)", got: output)
    }
    return output
  }

  /// The batch plus alpha times the branch.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let change = try pass.run(branch, as: "branch", on: x)
    return try pointwise(.x + .y * .z, [x, change, pass[alpha]])
  }
}
