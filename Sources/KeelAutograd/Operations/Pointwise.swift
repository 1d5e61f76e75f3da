public import KeelBackend

/// One formula over the elements of tensors, computed in one kernel:
/// result[i] = expression(inputs[0][i], inputs[1][i], …).
///
/// The inputs are broadcast against each other by NumPy's rule; int32 and uint8 elements are
/// converted to float32. The gradient is the formula's symbolic derivative, again one kernel,
/// summed over the axes along which an input was stretched.
///
/// ```swift
/// let y = try pointwise(.x * .x.sigmoid() + .y, [x, bias])
/// ```
///
/// - Parameter inputs: one to six tensors; the formula's input 0 is the first.
/// - Throws: ``TensorError/shape(_:)`` unless the shapes broadcast and every input that the formula
///   reads is there.
public func pointwise(
  _ expression: Expression, _ inputs: [Tensor]
) throws(TensorError) -> Tensor {
  try pointwise("pointwise", expression, inputs)
}

/// The same for a method whose name is to stand in error messages.
func pointwise(
  _ operation: String, _ expression: Expression, _ inputs: [Tensor]
) throws(TensorError) -> Tensor {
  let shape = try pointwiseShape(operation, expression, inputs)
  let (expression, inputs) = mergeEqualInputs(expression, inputs)
  let backend = inputs[0].backend
  let values = inputs.map(\.value)
  let slopes = inputs.indices.map { position in
    inputs[position].requiresGradient
      ? expression.derivative(withRespectTo: position) : .constant(0)
  }
  let links = inputs.indices.map { position -> GradientLink in
    let isWhole = inputs[position].shape.count == shape.count
    return switch slopes[position] {
    case .constant(0): .none
    case .constant(1) where isWhole: .passes
    // Six inputs leave no room for dy: it is read after the gradient is first written.
    default: isWhole && inputs.count < 6 ? .elementwise : .computed
    }
  }
  // Of the inputs those are kept that a derivative reads: of a sum none.
  let read = slopes.reduce(into: Set<Int>()) { $0.formUnion($1.inputPositions) }
  let kept = values.indices.map { read.contains($0) ? values[$0] : nil }
  let type = storedType(inputs, shape)
  return try record(
    .pointwise, inputs, shape: shape, dtype: type, links: links, method: operation
  ) {
    (y) throws(DeviceError) in
    try backend.pointwise(expression, values, into: y)
  } pullback: { (dy, dx) throws(DeviceError) in
    // A gradient that takes the place of dy comes last.
    for isWhole in [false, true] {
      for (position, slope) in slopes.enumerated() {
        guard let destination = dx[position], isWhole == (destination.count == dy.count) else {
          continue
        }
        try pullPointwise(slope, kept, dy, into: destination, backend)
      }
    }
  }
}

extension Tensor {
  /// activation(this + other), of which the gradient needs nothing but the result: neither operand
  /// has to be kept for it, and one pass over dy gives that of both.
  package func adding(
    _ other: Tensor, activation: Activation
  ) throws(TensorError) -> Tensor {
    let formula = activation.of(.x + .y)
    guard other !== self, joins(other, activation) else {
      return try pointwise("add", formula, [self, other])
    }
    try requireOneDevice("add", [self, other])
    let (x, z, backend) = (value, other.value, backend)
    let y = try compute(on: device, shape, dtype) { (y) throws(DeviceError) in
      try backend.pointwise(formula, [x, z], into: y)
    }
    return attach(
      .pointwise, [self, other], y, links: [.passes, .passes],
      ending: Ending(activation: activation, output: y), method: "add")
  }

  /// Whether activation(this + other) has an ``Ending``: the gradient of both is dz as it is.
  func joins(_ other: Tensor, _ activation: Activation) -> Bool {
    activation != .identity && activation.isFusable && dtype.isFloat && shape == other.shape
      && dtype == other.dtype
  }
}

/// The same formula with each tensor given once: x * x is then one input with one derivative.
private func mergeEqualInputs(
  _ expression: Expression, _ inputs: [Tensor]
) -> (Expression, [Tensor]) {
  let first = inputs.map { tensor in inputs.firstIndex { $0 === tensor } ?? 0 }
  let kept = inputs.indices.filter { first[$0] == $0 }
  if kept.count == inputs.count { return (expression, inputs) }
  let merged = expression.substituting { position in
    .input(kept.firstIndex(of: first[position]) ?? 0)
  }
  return (merged, kept.map { inputs[$0] })
}

private func pointwiseShape(
  _ operation: String, _ expression: Expression, _ inputs: [Tensor]
) throws(TensorError) -> Shape {
  try require(
    (1...6).contains(inputs.count), operation, "one to six inputs", got: inputs.count)
  let used = expression.inputPositions
  try require(
    used.allSatisfy(inputs.indices.contains), operation,
    "an input for each position in the formula",
    got: "\(inputs.count) inputs for the positions \(used.sorted())")
  try requireOneDevice(operation, inputs)
  var shape = inputs[0].shape
  for input in inputs.dropFirst() {
    guard let wider = shape.broadcast(with: input.shape) else {
      throw .shape(
        ShapeError(
          operation,
          requires: "shapes that broadcast"
            + shape.axisDifference(whenBroadcastWith: input.shape), got: shape, input.shape))
    }
    shape = wider
  }
  try requireUsable(shape, operation)
  return shape
}

/// dx = sum over stretched axes of dy * slope(inputs).
private func pullPointwise(
  _ slope: Expression, _ inputs: [NDArray?], _ dy: NDArray, into dx: NDArray,
  _ backend: any Backend
) throws(DeviceError) {
  if slope == 1 {
    // Where no axis is stretched, the tape passes dy on without a copy.
    try backend.sumStretched(dy, into: dx)
    return
  }
  // Only what the derivative reads, with dy behind it.
  let used = slope.inputPositions.sorted()
  let compact = slope.substituting { .input(used.firstIndex(of: $0) ?? 0) }
  var operands = used.compactMap { inputs[$0] }
  let isStretched = dx.count != dy.count
  let product = isStretched ? try backend.newArray(dy.shape) : dx.reshaped(dy.shape)
  if operands.count < 6 {
    operands.append(dy)
    try backend.pointwise(.input(used.count) * compact, operands, into: product)
  } else {
    try backend.pointwise(compact, operands, into: product)
    try backend.pointwise(.x * .y, [dy, product], into: product)
  }
  if isStretched { try backend.sumStretched(product, into: dx) }
}

extension Backend {
  /// out = the sum of x over the axes along which an array of `out`'s shape is stretched to x's.
  func sumStretched(_ x: NDArray, into out: NDArray) throws(DeviceError) {
    let offset = x.shape.rank - out.shape.rank
    let axes = x.shape.extents.indices.filter { axis in
      x.shape[axis] != 1 && (axis < offset || out.shape[axis - offset] == 1)
    }
    if axes.isEmpty {
      try pointwise(.x, [x.reshaped(out.shape)], into: out)
    } else {
      try reduce(.sum, x, axes: axes, into: out)
    }
  }
}

extension Expression {
  /// The positions of the inputs that the formula reads.
  var inputPositions: Set<Int> {
    switch self {
    case .input(let position): [position]
    case .constant: []
    case .unary(_, let operand): operand.inputPositions
    case .binary(_, let left, let right): left.inputPositions.union(right.inputPositions)
    case .select(let condition, let left, let right):
      condition.inputPositions.union(left.inputPositions).union(right.inputPositions)
    }
  }
}
