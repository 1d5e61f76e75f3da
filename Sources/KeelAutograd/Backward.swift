public import KeelBackend

extension Tensor {
  /// Carries gradients from this scalar back to the leaves it was computed from.
  ///
  /// Each leaf's first contribution is written straight to its destination, or added to what is
  /// there if `accumulate`; further ones are added. Leaves that only tensors without elements lead
  /// to get 0. Leaves that this tensor does not depend on are not asked about and not touched.
  /// Nothing is read back: the device may still be at work.
  ///
  /// - Parameters:
  ///   - seed: the gradient of this scalar with respect to itself; a scale of all gradients.
  ///   - seedArray: an element of that value, which is only read; nil makes one.
  ///   - accumulate: whether destinations keep what they hold and gradients are added.
  ///   - keepsGraph: false gives up saved arrays as they are consumed; no second pass is possible.
  ///   - destination: called once for each leaf; nil says its gradient is not wanted.
  /// - Throws: ``TensorError/shape(_:)`` unless this is one element that a leaf leads to.
  package func backward(
    seed: Float = 1, seedArray: NDArray? = nil, accumulate: Bool = false,
    keepsGraph: Bool = true, into destination: (Tensor) -> NDArray?
  ) throws(TensorError) {
    guard shape.count == 1, dtype == .float32 else {
      throw .shape(ShapeError("backward", requires: "one float32 element", got: shape))
    }
    let pass = BackwardPass(backend, accumulate: accumulate, keepsGraph: keepsGraph)
    switch origin {
    case .constant:
      throw .shape(
        ShapeError(
          "backward", requires: "a result of tensors that require gradients",
          gotText: "a constant"))
    case .leaf, .standIn:
      pass.meet(leafItself, destination)
      let dy = try pass.seed(seed, seedArray, shape)
      try onDevice { () throws(DeviceError) in
        try pass.deliver(
          dy, isOwned: seedArray == nil, to: .leaf(leafItself), isInPlace: false)
      }
    case .computed(let node):
      let nodes = try pass.collect(from: node, destination)
      let dy = try pass.seed(seed, seedArray, shape)
      try pass.run(nodes, seed: dy, isOwned: seedArray == nil, root: node)
      try pass.clearUnreached()
    }
  }
}

extension Tensor {
  /// The leaf that this one stands in for, or itself.
  fileprivate var leafItself: Tensor {
    if case .standIn(let leaf) = origin { leaf } else { self }
  }
}

/// The value of a computation and its gradients with respect to given tensors.
///
/// While `body` runs, the tensors count as leaves that require a gradient, whatever they are
/// otherwise. Gradient i has the shape of tensor i and is 0 where the value does not depend on it.
///
/// ```swift
/// let (loss, gradients) = try valueAndGradient(at: [weight]) {
///   try x.matmul(weight).meanSquaredError(target)
/// }
/// ```
///
/// - Throws: ``TensorError/shape(_:)`` unless the result has exactly one element and the tensors
///   hold no whole numbers; whatever `body` throws.
public func valueAndGradient(
  at tensors: [Tensor], _ body: () throws(TensorError) -> Tensor
) throws(TensorError) -> (value: Tensor, gradients: [Tensor]) {
  for tensor in tensors { try requireFloat("valueAndGradient", tensor) }
  let origins = tensors.map(\.origin)
  // Reversed, so that a tensor that is listed twice gets its first origin back.
  defer { for (tensor, origin) in zip(tensors, origins).reversed() { tensor.origin = origin } }
  for tensor in tensors { tensor.origin = .leaf }

  let result = try body()
  guard result.shape.count == 1, result.dtype == .float32 else {
    throw .shape(
      ShapeError(
        "valueAndGradient", requires: "a result of one float32 element", got: result.shape))
  }
  var gradients: [ObjectIdentifier: NDArray] = [:]
  for tensor in tensors where gradients[ObjectIdentifier(tensor)] == nil {
    gradients[ObjectIdentifier(tensor)] = try onDevice { () throws(DeviceError) in
      try tensor.backend.newArray(tensor.shape)
    }
  }
  var reached: Set<ObjectIdentifier> = []
  if result.requiresGradient {
    try result.backward { leaf in
      reached.insert(ObjectIdentifier(leaf))
      return gradients[ObjectIdentifier(leaf)]
    }
  }
  var found: [Tensor] = []
  for tensor in tensors {
    guard let gradient = gradients[ObjectIdentifier(tensor)] else { continue }
    if !reached.contains(ObjectIdentifier(tensor)), gradient.count > 0 {
      try onDevice { () throws(DeviceError) in try tensor.backend.fill(gradient, with: 0) }
    }
    found.append(Tensor(value: gradient, device: tensor.device, origin: .constant))
  }
  return (result.detached(), found)
}

/// One pass from a scalar to its leaves.
private final class BackwardPass {
  private struct Leaf {
    let destination: NDArray?
    var isWritten: Bool
  }
  private struct Gradient {
    var array: NDArray
    /// Whether nobody else reads the array, so that it can be added to in place.
    var isOwned: Bool
    /// What is still to be added: an ``Ending`` does so in its own pass.
    var addend: NDArray?
  }

  private let backend: any Backend
  private let accumulate: Bool
  private let keepsGraph: Bool
  private let observer = OperationTrace.observer
  /// The operation whose gradients are being delivered, as the observer knows it.
  private var traced = 0
  private var leaves: [ObjectIdentifier: Leaf] = [:]
  private var gradients: [ObjectIdentifier: Gradient] = [:]
  /// What is still to be computed, if it is all that has arrived.
  private var deferred: [ObjectIdentifier: DeferredGradient] = [:]
  private var wanted: Set<ObjectIdentifier> = []

  init(_ backend: any Backend, accumulate: Bool, keepsGraph: Bool) {
    self.backend = backend
    self.accumulate = accumulate
    self.keepsGraph = keepsGraph
  }

  func seed(
    _ seed: Float, _ given: NDArray?, _ shape: Shape
  ) throws(TensorError) -> NDArray {
    if let given { return given.reshaped(shape) }
    return try onDevice { () throws(DeviceError) in
      let dy = try backend.newArray(shape)
      try backend.fill(dy, with: seed)
      return dy
    }
  }

  /// Asks once where a leaf's gradient goes.
  func meet(_ leaf: Tensor, _ destination: (Tensor) -> NDArray?) {
    guard leaves[ObjectIdentifier(leaf)] == nil else { return }
    let array = destination(leaf)?.reshaped(leaf.shape)
    leaves[ObjectIdentifier(leaf)] = Leaf(destination: array, isWritten: accumulate)
  }

  /// The nodes on the way to wanted leaves, in ascending order.
  func collect(
    from root: Node, _ destination: (Tensor) -> NDArray?
  ) throws(TensorError) -> [Node] {
    var (found, pending, seen) = ([Node](), [root], Set([ObjectIdentifier(root)]))
    while let node = pending.popLast() {
      guard !node.isConsumed else {
        throw .shape(
          ShapeError(
            "backward", requires: "a graph that no earlier pass gave up",
            gotText: "a consumed \(node.name.rawValue)"))
      }
      found.append(node)
      for input in node.inputs {
        switch input?.target {
        case .leaf(let leaf)?: meet(leaf, destination)
        case .node(let next)?:
          if seen.insert(ObjectIdentifier(next)).inserted { pending.append(next) }
        case nil: break
        }
      }
    }
    // Equal sequence numbers stay in the order of discovery: two passes add in the same order.
    let order = found.enumerated().sorted {
      ($0.element.sequence, $0.offset) < ($1.element.sequence, $1.offset)
    }
    return order.map(\.element).filter { node in
      guard node.inputs.contains(where: isWanted) else { return false }
      wanted.insert(ObjectIdentifier(node))
      return true
    }
  }

  private func isWanted(_ input: Node.Input?) -> Bool {
    guard let input, input.shape.count > 0 else { return false }
    return switch input.target {
    case .leaf(let leaf): leaves[ObjectIdentifier(leaf)]?.destination != nil
    case .node(let node): wanted.contains(ObjectIdentifier(node))
    }
  }

  func run(_ nodes: [Node], seed: NDArray, isOwned: Bool, root: Node) throws(TensorError) {
    guard wanted.contains(ObjectIdentifier(root)) else { return }
    gradients[ObjectIdentifier(root)] = Gradient(array: seed, isOwned: isOwned)
    for node in nodes.reversed() {
      let later = deferred.removeValue(forKey: ObjectIdentifier(node))
      let upstream = gradients.removeValue(forKey: ObjectIdentifier(node))
      try onDevice { () throws(DeviceError) in
        if let upstream {
          try pull(node, upstream)
        } else if let later {
          try pull(node, later)
        }
      }
      if !keepsGraph { node.consume() }
    }
  }

  /// Writes 0 where no contribution came: nothing flows through a tensor without elements, and a
  /// destination must not keep what another pass left there.
  func clearUnreached() throws(TensorError) {
    for leaf in leaves.values where !leaf.isWritten {
      guard let destination = leaf.destination, destination.count > 0 else { continue }
      try onDevice { () throws(DeviceError) in try backend.fill(destination, with: 0) }
    }
  }

  /// A node of which only maxima are used: their gradient becomes that inside the activation.
  private func pull(_ node: Node, _ later: DeferredGradient) throws(DeviceError) {
    var maxima = later.maxima
    if !later.isOwned {
      let own = try backend.newArray(maxima.upstream.shape, maxima.upstream.dtype)
      try backend.pointwise(.x, [maxima.upstream], into: own)
      maxima = WindowMaxima(
        y: maxima.y, upstream: own, indices: maxima.indices, maxima.geometry)
    }
    if !keepsGraph { node.consumeResult() }
    let dz = try backend.newArray(later.shape, later.dtype)
    try pull(node, Gradient(array: dz, isOwned: true), maxima, seen: later.elements)
  }

  /// - Parameters:
  ///   - maxima: what stands for the gradient, whose array then waits to be written.
  ///   - seen: the gradient as the observer has met it.
  private func pull(
    _ node: Node, _ upstream: Gradient, _ maxima: WindowMaxima? = nil, seen: NDArray? = nil
  ) throws(DeviceError) {
    var (dy, isOwned) = (upstream.array, upstream.isOwned)
    if node.overwritesUpstream, !isOwned, dy.count > 0 {
      dy = try backend.newArray(dy.shape, dy.dtype)
      try backend.pointwise(.x, [upstream.array], into: dy)
      isOwned = true
    }
    var dx = [NDArray?](repeating: nil, count: node.inputs.count)
    var isInPlace = [Bool](repeating: false, count: node.inputs.count)
    let overDy = isOwned ? positionOverUpstream(node, dy) : nil
    var later = putOff(node, dy, isOwned: isOwned)
    var (passes, direct) = (0, Set<ObjectIdentifier>())
    for (position, input) in node.inputs.enumerated() where isWanted(input) {
      guard let input else { continue }
      if case .passes = input.link {
        passes += 1
      } else if later != nil, observer == nil {
        continue
      } else if case .leaf(let leaf) = input.target, let state = leaves[ObjectIdentifier(leaf)],
        !state.isWritten, direct.insert(ObjectIdentifier(leaf)).inserted
      {
        dx[position] = state.destination
        isInPlace[position] = true
      } else if position == overDy {
        dx[position] = dy.reshaped(input.shape)
      } else {
        dx[position] = try backend.newArray(input.shape, input.dtype)
      }
    }
    if dy.count == 0 {
      // Nothing flows out of an empty result.
      for array in dx { if let array { try backend.fill(array, with: 0) } }
    } else if node.ending != nil || dx.contains(where: { $0 != nil }) {
      observer?.pullbackBegan(node.traceNumber, upstream: seen ?? dy)
      if let ending = node.ending { try takeOff(ending, from: dy, upstream.addend) }
      if let maxima {
        try node.maxima.pullback?(maxima, dy, dx)
      } else {
        try node.pullback?(dy, dx)
      }
      observer?.pullbackEnded(node.traceNumber, gradients: dx)
    }
    traced = node.traceNumber
    if later != nil, case .node(let target)? = node.inputs.first??.target {
      later?.elements = dx[0]
      deferred[ObjectIdentifier(target)] = later
      return
    }
    // What is in a destination already comes first: later contributions are added to it.
    for isFirst in [true, false] {
      for (position, input) in node.inputs.enumerated() where isInPlace[position] == isFirst {
        guard let input, isWanted(input) else { continue }
        let isOwn = dx[position] != nil || (isOwned && passes == 1)
        try deliver(
          dx[position] ?? dy.reshaped(input.shape), isOwned: isOwn, to: input.target,
          isInPlace: isFirst)
      }
    }
  }

  /// What the gradient of a node's input waits as, if that is of use to who gets it.
  private func putOff(_ node: Node, _ dy: NDArray, isOwned: Bool) -> DeferredGradient? {
    guard dy.count > 0, let deferral = node.maxima.deferral, let input = node.inputs.first,
      let input, isWanted(input), case .node(let target) = input.target,
      target.maxima.pullback != nil, gradients[ObjectIdentifier(target)] == nil,
      deferred[ObjectIdentifier(target)] == nil
    else { return nil }
    return deferral(dy, isOwned)
  }

  /// dz = (dy + addend) * activation'(y), over dy.
  private func takeOff(
    _ ending: Ending, from dy: NDArray, _ addend: NDArray?
  ) throws(DeviceError) {
    guard let addend, let slope = ending.activation.derivativeOfOutput else {
      return try backend.pullEpilogue(
        ending.activation, output: ending.output, upstream: dy, bias: nil)
    }
    let slopeOfOutput = slope.substituting { _ in .z }
    let y = ending.output.reshaped(dy.shape)
    try backend.pointwise(
      (.x + .y) * slopeOfOutput, [dy, addend.reshaped(dy.shape), y], into: dy)
  }

  /// The input whose gradient may take the place of the output's: the last that allows it, if
  /// nobody is handed the output's.
  private func positionOverUpstream(_ node: Node, _ dy: NDArray) -> Int? {
    var last: Int?
    for (position, input) in node.inputs.enumerated() where isWanted(input) {
      guard let input else { continue }
      switch (input.link, input.target) {
      case (.passes, _): return nil
      case (.elementwise, .node):
        last = input.shape.count == dy.count && input.dtype == dy.dtype ? position : nil
      case (.elementwise, .leaf): last = nil
      case (.computed, _), (.none, _): break
      }
    }
    return last
  }

  /// Brings one contribution to where it belongs.
  ///
  /// - Parameter isInPlace: whether it was written to the leaf's destination already.
  func deliver(
    _ array: NDArray, isOwned: Bool, to target: Node.Input.Target, isInPlace: Bool
  ) throws(DeviceError) {
    switch target {
    case .leaf(let leaf):
      let key = ObjectIdentifier(leaf)
      guard let state = leaves[key], let destination = state.destination else { return }
      if !isInPlace, array.count > 0 {
        if state.isWritten {
          try backend.pointwise(.x + .y, [destination, array], into: destination)
          observer?.gradientsAdded(traced, sum: destination)
        } else {
          try backend.copy(array, into: destination)
        }
      }
      leaves[key]?.isWritten = true
    case .node(let node):
      let key = ObjectIdentifier(node)
      if let later = deferred.removeValue(forKey: key) {
        // Not all that arrives: its elements are needed.
        var elements = later.elements
        if elements == nil {
          let own = try backend.newArray(later.shape, later.dtype)
          try later.write(own)
          elements = own
        }
        gradients[key] = elements.map { Gradient(array: $0, isOwned: true) }
      }
      guard let first = gradients[key] else {
        gradients[key] = Gradient(array: array, isOwned: isOwned)
        return
      }
      if let addend = first.addend {
        try backend.pointwise(.x + .y, [first.array, addend], into: first.array)
      } else if node.ending != nil, observer == nil, first.isOwned || isOwned, array.count > 0 {
        let (sum, addend) = first.isOwned ? (first.array, array) : (array, first.array)
        gradients[key] = Gradient(array: sum, isOwned: true, addend: addend)
        return
      }
      let sum: NDArray
      if first.isOwned {
        sum = first.array
      } else if isOwned {
        sum = array
      } else {
        sum = try backend.newArray(array.shape, first.array.dtype)
      }
      try backend.pointwise(.x + .y, [first.array, array], into: sum)
      observer?.gradientsAdded(traced, sum: sum)
      gradients[key] = Gradient(array: sum, isOwned: true)
    }
  }
}
