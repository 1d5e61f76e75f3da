public import KeelBackend

extension Tensor {
  /// The sum over axes, along a fixed tree: two runs are bit-equal.
  ///
  /// - Parameters:
  ///   - axes: distinct; negative ones count from the end; nil means all.
  ///   - keepingAxes: whether reduced axes stay with extent 1.
  /// - Throws: ``TensorError/shape(_:)`` for axes that are not there, repeated or empty.
  public func sum(
    axes: [Int]? = nil, keepingAxes: Bool = false
  ) throws(TensorError) -> Tensor {
    try reduce("sum", .sum, axes: axes, keepingAxes: keepingAxes)
  }

  /// The sum over axes divided by the number of elements that were added.
  ///
  /// - Parameters:
  ///   - axes: distinct; negative ones count from the end; nil means all.
  ///   - keepingAxes: whether reduced axes stay with extent 1.
  /// - Throws: ``TensorError/shape(_:)`` for axes that are not there, repeated or empty.
  public func mean(
    axes: [Int]? = nil, keepingAxes: Bool = false
  ) throws(TensorError) -> Tensor {
    try reduce("mean", .mean, axes: axes, keepingAxes: keepingAxes)
  }

  /// The largest element along axes; NaN if there is one. Equal winners share the gradient equally.
  ///
  /// - Parameters:
  ///   - axes: distinct; negative ones count from the end; nil means all.
  ///   - keepingAxes: whether reduced axes stay with extent 1.
  /// - Throws: ``TensorError/shape(_:)`` for axes that are not there, repeated or empty.
  public func max(
    axes: [Int]? = nil, keepingAxes: Bool = false
  ) throws(TensorError) -> Tensor {
    try reduce("max", .max, axes: axes, keepingAxes: keepingAxes)
  }

  /// The smallest element along axes; NaN if there is one. Equal winners share the gradient
  /// equally.
  ///
  /// - Parameters:
  ///   - axes: distinct; negative ones count from the end; nil means all.
  ///   - keepingAxes: whether reduced axes stay with extent 1.
  /// - Throws: ``TensorError/shape(_:)`` for axes that are not there, repeated or empty.
  public func min(
    axes: [Int]? = nil, keepingAxes: Bool = false
  ) throws(TensorError) -> Tensor {
    try reduce("min", .min, axes: axes, keepingAxes: keepingAxes)
  }

  /// The mean of each channel over height and width: batch x height x width x channels becomes
  /// batch x channels.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless there are four axes, none of the image's empty.
  public func globalAveragePooling2D() throws(TensorError) -> Tensor {
    try requireImages("globalAveragePooling2D")
    return try reduce("globalAveragePooling2D", .mean, axes: [1, 2], keepingAxes: false)
  }

  /// The largest element of each channel over height and width: batch x height x width x channels
  /// becomes batch x channels. NaN if there is one; equal winners share the gradient equally.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless there are four axes, none of the image's empty.
  public func globalMaxPooling2D() throws(TensorError) -> Tensor {
    try requireImages("globalMaxPooling2D")
    return try reduce("globalMaxPooling2D", .max, axes: [1, 2], keepingAxes: false)
  }

  func reduce(
    _ operation: String, _ kind: ReductionKind, axes: [Int]?, keepingAxes: Bool
  ) throws(TensorError) -> Tensor {
    let plan = try ReductionPlan(operation, self, axes, keepingAxes: keepingAxes)
    let (x, backend) = (plan.view(value), backend)
    let y = try compute(on: device, plan.result) { (y) throws(DeviceError) in
      try backend.reduce(kind, x, axes: plan.axes, into: y)
    }
    let link: GradientLink = plan.divisor == 1 ? .passes : .computed
    // Sums and means are linear: what was added up is not asked for again.
    let winners = kind == .max || kind == .min ? (x: x, y: y) : nil
    return attach(.reduction, [self], y, links: [link], method: operation) {
      (dy, dx) throws(DeviceError) in
      guard let destination = dx[0].map(plan.view) else { return }
      let dy = dy.reshaped(plan.kept)
      if let winners {
        try backend.shareAmongWinners(
          winners.x, winners.y.reshaped(plan.kept), dy, axes: plan.axes, into: destination)
      } else if kind == .mean {
        let divisor = Expression.constant(Float(plan.divisor))
        try backend.pointwise(.x / divisor, [dy], into: destination)
      } else {
        try backend.pointwise(.x, [dy], into: destination)
      }
    }
  }

  func requireImages(_ operation: String) throws(TensorError) {
    guard shape.rank == 4 else {
      throw .shape(
        ShapeError(operation, requires: "batch x height x width x channels", got: shape))
    }
  }
}

/// What a reduction over checked axes works on.
struct ReductionPlan {
  /// Ascending, at least one.
  let axes: [Int]
  /// The input's shape; a scalar counts as one axis of extent 1.
  let input: Shape
  /// The input's shape with extent 1 along the axes.
  let kept: Shape
  let result: Shape
  /// How many elements become one.
  let divisor: Int

  init(
    _ operation: String, _ tensor: Tensor, _ axes: [Int]?, keepingAxes: Bool
  ) throws(TensorError) {
    try requireFloat(operation, tensor)
    let shape = tensor.shape
    let resolved = try shape.resolve(axes: axes, operation)
    guard resolved.allSatisfy({ shape[$0] > 0 }) else {
      throw .shape(ShapeError(operation, requires: "no empty axis among the reduced", got: shape))
    }
    result = shape.reducing(resolved, keepingAxes: keepingAxes)
    input = shape.rank == 0 ? [1] : shape
    self.axes = shape.rank == 0 ? [0] : resolved
    kept = input.reducing(self.axes, keepingAxes: true)
    divisor = resolved.reduce(1) { $0 * shape[$1] }
  }

  func view(_ array: NDArray) -> NDArray { array.reshaped(input) }
}

extension Backend {
  /// dx[i] = dy / (number of winners) where x[i] equals the winner y of its group, else 0. A group
  /// whose winner is NaN gets NaN (0 / 0): the fault stays visible.
  func shareAmongWinners(
    _ x: NDArray, _ y: NDArray, _ dy: NDArray, axes: [Int], into dx: NDArray
  ) throws(DeviceError) {
    let wins = try newArray(x.shape)
    try pointwise(.x.equal(.y), [x, y], into: wins)
    let count = try newArray(y.shape)
    try reduce(.sum, wins, axes: axes, into: count)
    try pointwise(.x * (.y / .z), [wins, dy, count], into: dx)
  }
}
