public import KeelAutograd
public import KeelBackend
public import KeelNN

extension Model {
  /// Runs a computation again, forward and backward, and finds the operation that made the first
  /// value that is not finite; nil if the loss and all gradients are finite.
  ///
  /// Changes nothing: parameters, gradients and states of layers (running statistics) are as
  /// before. Every array is read by the host, so this costs many ordinary steps; call it on a step
  /// that went bad, with the same batch, before the next update.
  ///
  /// ```swift
  /// let cause = try model.locateFirstCause { (pass) throws(TensorError) in
  ///   try loss(model(images, pass), labels)
  /// }
  /// print(cause ?? "all finite")
  /// ```
  ///
  /// Operations are known by the layer they run in (its path, its kind, the line that lists it), by
  /// the parts that ``KeelAutograd/traced(_:file:line:_:)`` marks, and otherwise by the line of
  /// this call: operators of tensors cannot carry their own.
  ///
  /// - Parameters:
  ///   - pass: the number of the pass that went bad, which selects its dropout masks; by default
  ///     that of the last ``valueAndGradient(pass:_:)``.
  ///   - seed: the factor that all gradients start from, such as a loss scale.
  ///   - loss: from a training pass to a scalar, the same as in the step.
  /// - Throws: ``KeelBackend/TensorError`` of the computation.
  public func locateFirstCause(
    pass: UInt64? = nil, seed: Float = 1, file: String = #fileID, line: Int = #line,
    _ loss: (Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) -> FirstCause? {
    let trace = FirstCauseTrace(
      self, base: TracedPart(path: "", kind: "", source: "\(file):\(line)"))
    var watched = trainingPass(step: pass ?? lastPass)
    watched.observer = trace
    let kept = try copiesOfStates()
    let outcome = Result { () throws(TensorError) in
      try observingOperations(trace) { () throws(TensorError) in
        try traceStep(loss, watched, seed: seed)
      }
    }
    try restore(kept)
    let isFinite = try outcome.get()
    if let failure = trace.failure { throw .device(failure) }
    return isFinite ? nil : trace.cause
  }

  /// Runs the computation with gradients beside the arena's, and says whether all ends are finite.
  private func traceStep(
    _ loss: (Pass) throws(TensorError) -> Tensor, _ pass: Pass, seed: Float
  ) throws(TensorError) -> Bool {
    let value = try loss(pass)
    guard value.shape.count == 1 else {
      throw .shape(ShapeError("first cause", requires: "a scalar loss", got: value.shape))
    }
    var isFinite = try value.item().isFinite
    guard value.requiresGradient else { return isFinite }
    var gradients: [NDArray] = []
    let backend = device.backend
    var failure: DeviceError?
    try value.backward(seed: seed, keepsGraph: false) { leaf in
      do throws(DeviceError) {
        let gradient = try backend.newArray(leaf.shape)
        gradients.append(gradient)
        return gradient
      } catch {
        failure = error
        return nil
      }
    }
    if let failure { throw .device(failure) }
    for gradient in gradients where isFinite {
      isFinite = try onDevice { () throws(DeviceError) in
        try ValueRange(gradient, backend).isFinite
      }
    }
    return isFinite
  }

  func copiesOfStates() throws(TensorError) -> [[Float]] {
    var copies: [[Float]] = []
    for state in states { copies.append(try state.tensor?.scalars() ?? []) }
    return copies
  }

  func restore(_ copies: [[Float]]) throws(TensorError) {
    for (state, copy) in zip(states, copies) where !copy.isEmpty {
      try setWeights(copy, named: state.name)
    }
  }
}
