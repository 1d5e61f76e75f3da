package import KeelBackend

/// Where a tensor stands in the flow of gradients.
enum Origin {
  /// No gradient flows here.
  case constant
  /// A gradient is wanted here.
  case leaf
  /// The elements of a leaf in another type: its gradient is the leaf's.
  case standIn(for: Tensor)
  /// Computed by a recorded operation from tensors that gradients flow to.
  case computed(Node)
}

/// How the gradient of one input follows from that of the output.
package enum GradientLink: Sendable {
  /// Not at all: the derivative is 0 or does not exist.
  case none
  /// It is the same numbers in the input's shape: nothing is computed or copied.
  case passes
  /// The pullback computes it.
  case computed
  /// The pullback computes each element from that of `dy` at the same place, after the gradients of
  /// inputs before this one and of those that are `computed`: it may be written over `dy`.
  case elementwise
}

/// Writes the gradients of an operation's inputs: from `dy`, that of the output, into `dx[i]`,
/// which is nil where input i needs none. It must write every element and accumulates nothing.
package typealias Pullback = (_ dy: NDArray, _ dx: [NDArray?]) throws(DeviceError) -> Void

/// A contribution to a gradient that is not computed yet: whoever gets it may do with less than all
/// of its elements.
struct DeferredGradient {
  let shape: Shape
  let dtype: DType
  /// Maxima of the tensor whose gradient it is, and their gradient.
  let maxima: WindowMaxima
  /// Whether nobody else reads the gradient of the maxima, so that it can be overwritten.
  let isOwned: Bool
  /// Writes all elements.
  let write: (NDArray) throws(DeviceError) -> Void
  /// All elements, where an observer wanted to see them.
  var elements: NDArray?
}

/// Says how the gradient of an operation's one input follows from `dy`, without computing it.
typealias Deferral = (_ dy: NDArray, _ isOwned: Bool) -> DeferredGradient

/// A pullback from the gradient of maxima of the output; it writes that of what is inside the
/// activation into `dz`, of the output's shape.
typealias MaximaPullback = (
  _ maxima: WindowMaxima, _ dz: NDArray, _ dx: [NDArray?]
) throws(DeviceError) -> Void

/// How an operation does with maxima over windows of its result alone, or is such maxima.
struct MaximaGradient {
  /// Where the gradient of the one input can wait until it is needed.
  var deferral: Deferral?
  /// Where it is enough to know the gradient of maxima of the output.
  var pullback: MaximaPullback?
}

/// The activation that an operation ends with, and its result. The tape then makes
/// dz = dy * activation'(y), in place, before anything else happens with `dy`; where two gradients
/// arrive it adds them in the same pass.
struct Ending {
  let activation: Activation
  let output: NDArray
}

/// A recorded operation. Nodes refer to the nodes of their inputs, never the other way round;
/// pullbacks capture arrays, never tensors: a chain of nodes is released in ``Node/deinit``.
final class Node {
  /// What flows to an input.
  struct Input {
    enum Target {
      case leaf(Tensor)
      case node(Node)
    }
    let target: Target
    let shape: Shape
    /// The type that a gradient on its way there is kept in.
    let dtype: DType
    let link: GradientLink

    init(_ target: Target, _ shape: Shape, _ dtype: DType, _ link: GradientLink) {
      (self.target, self.shape, self.dtype, self.link) = (target, shape, dtype, link)
    }
  }

  let name: OperationName
  /// One more than that of the deepest input: descending order visits consumers first.
  let sequence: Int
  /// By position of the input; nil where no gradient flows.
  private(set) var inputs: [Input?]
  private(set) var pullback: Pullback?
  /// Whether the pullback uses the memory of the gradient that arrives for its own work.
  let overwritesUpstream: Bool
  /// The activation at the end of the operation, if the tape is to take it off.
  private(set) var ending: Ending?
  private(set) var maxima: MaximaGradient
  private(set) var isConsumed = false
  /// By which an ``OperationObserver`` knows the operation; 0 if nobody watched.
  let traceNumber: Int

  init(
    _ name: OperationName, inputs: [Input?], overwritesUpstream: Bool, ending: Ending?,
    maxima: MaximaGradient, traceNumber: Int, pullback: Pullback?
  ) {
    self.ending = ending
    self.maxima = maxima
    self.name = name
    self.traceNumber = traceNumber
    self.overwritesUpstream = overwritesUpstream
    self.inputs = inputs
    self.pullback = pullback
    var deepest = 0
    for input in inputs {
      if case .node(let node)? = input?.target { deepest = max(deepest, node.sequence) }
    }
    sequence = deepest + 1
  }

  /// Gives up what the pullback keeps; no second pass can come through here.
  func consume() {
    (pullback, ending, maxima) = (nil, nil, MaximaGradient())
    isConsumed = true
  }

  /// Gives up what only the pullback from the whole gradient keeps, such as the result.
  func consumeResult() { pullback = nil }

  private func takeInputs() -> [Node] {
    defer { inputs = [] }
    return inputs.compactMap { input in
      if case .node(let node)? = input?.target { node } else { nil }
    }
  }

  deinit {
    // Iterative: releasing a chain of 100 000 nodes one inside the other overflows the stack.
    var pending = takeInputs()
    while var node = pending.popLast() {
      if isKnownUniquelyReferenced(&node) { pending += node.takeInputs() }
    }
  }
}

/// Runs an operation into fresh memory on the inputs' device, and records its pullback where an
/// input requires a gradient.
///
/// - Parameters:
///   - links: how gradients get to each input; nil if the pullback computes all of them.
///   - method: what users call the operation; by default the function that calls.
///   - run: writes all elements of the result; not called for an empty one.
///   - pullback: nil where there is no gradient to compute; see ``Pullback``.
package func record(
  _ name: OperationName, _ inputs: [Tensor], shape: Shape, dtype: DType = .float32,
  links: [GradientLink]? = nil, method: String = #function,
  run: (NDArray) throws(DeviceError) -> Void,
  pullback: Pullback? = nil
) throws(TensorError) -> Tensor {
  let value = try compute(on: inputs[0].device, shape, dtype, run)
  let links = links ?? inputs.map { _ in pullback == nil ? .none : .computed }
  return attach(name, inputs, value, links: links, method: method, pullback: pullback)
}

/// Runs an operation into fresh memory; for an empty result there is nothing to run.
func compute(
  on device: Device, _ shape: Shape, _ dtype: DType = .float32,
  _ run: (NDArray) throws(DeviceError) -> Void
) throws(TensorError) -> NDArray {
  try onDevice { () throws(DeviceError) in
    let value = try device.backend.newArray(shape, dtype)
    if shape.count > 0 { try run(value) }
    return value
  }
}

/// A tensor over a computed value; with a node if a gradient flows to an input.
///
/// - Parameters:
///   - overwritesUpstream: whether the pullback may write into `dy`; no link then passes.
///   - ending: an activation for the tape to take off; pullback and links get dz for `dy`.
///   - maxima: what the operation has to do with maxima over windows.
func attach(
  _ name: OperationName, _ inputs: [Tensor], _ value: NDArray, links: [GradientLink],
  overwritesUpstream: Bool = false, ending: Ending? = nil, method: String = #function,
  maxima: MaximaGradient = MaximaGradient(), pullback: Pullback? = nil
) -> Tensor {
  precondition(links.count == inputs.count)
  let device = inputs[0].device
  let number =
    OperationTrace.observer?.operationRan(
      name, method: String(method.prefix { $0 != "(" }), inputs: inputs,
      output: Tensor(value: value, device: device, origin: .constant)) ?? 0
  let flows = zip(inputs, links).map { tensor, link -> Node.Input? in
    if case .none = link { return nil }
    switch tensor.origin {
    case .constant: return nil
    case .leaf: return Node.Input(.leaf(tensor), tensor.shape, .float32, link)
    case .standIn(let leaf): return Node.Input(.leaf(leaf), tensor.shape, .float32, link)
    case .computed(let node): return Node.Input(.node(node), tensor.shape, tensor.dtype, link)
    }
  }
  guard value.dtype.isFloat, flows.contains(where: { $0 != nil }) else {
    return Tensor(value: value, device: device, origin: .constant)
  }
  let node = Node(
    name, inputs: flows, overwritesUpstream: overwritesUpstream || ending != nil, ending: ending,
    maxima: maxima, traceNumber: number, pullback: pullback)
  return Tensor(value: value, device: device, origin: .computed(node))
}
