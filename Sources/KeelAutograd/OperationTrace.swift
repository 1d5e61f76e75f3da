public import KeelBackend

/// Watches the operations of a tape as they run, forward and backward; see
/// ``observingOperations(_:_:)``. May read the host: nothing else is traced or timed meanwhile.
package protocol OperationObserver: AnyObject {
  /// An operation has run.
  ///
  /// - Parameters:
  ///   - method: what users call it, such as `log` or `matmul`.
  ///   - returns: the operation's number, by which its pullback will be known.
  func operationRan(
    _ name: OperationName, method: String, inputs: [Tensor], output: Tensor
  ) -> Int

  /// The pullback of operation `number` is about to run with the gradient of its output.
  func pullbackBegan(_ number: Int, upstream: NDArray)

  /// It has run; nil where an input wants no gradient.
  func pullbackEnded(_ number: Int, gradients: [NDArray?])

  /// Gradients that arrive at one place were added; `number` is the operation whose contribution
  /// came last.
  func gradientsAdded(_ number: Int, sum: NDArray)

  /// Names a tensor, such as the input of a model, for the reports.
  func met(_ tensor: Tensor, as name: String)

  /// What runs from here on belongs to a named part of the program…
  func partBegan(_ part: TracedPart)

  /// … up to here.
  func partEnded()
}

/// A named part of a program: a layer, the loss, or what a user marked.
package struct TracedPart: Hashable, Sendable {
  /// The layer's path, or the part's name.
  package var path: String
  /// What it is, such as `Dense`.
  package var kind: String
  /// The file and the line, if known, such as `Main/Network.swift:12`.
  package var source: String?

  package init(path: String, kind: String, source: String?) {
    self.path = path
    self.kind = kind
    self.source = source
  }
}

/// Who watches the operations of the running task.
package enum OperationTrace {
  /// Carries the observer in a task's local value.
  // Safe: observers are set and told within one synchronous call; tensors are not Sendable, so no
  // child task can run an operation of the same computation meanwhile.
  package final class Slot: @unchecked Sendable {
    package let observer: any OperationObserver
    init(_ observer: any OperationObserver) { self.observer = observer }
  }

  @TaskLocal static var slot: Slot?

  /// The observer; nil is the rule.
  package static var observer: (any OperationObserver)? { slot?.observer }
}

/// Runs a computation under the eyes of an observer.
package func observingOperations<Result>(
  _ observer: any OperationObserver, _ body: () throws(TensorError) -> Result
) throws(TensorError) -> Result {
  try OperationTrace.$slot.withValue(OperationTrace.Slot(observer)) {
    // The closure of `withValue` has no typed error.
    Swift.Result { () throws(TensorError) in try body() }
  }.get()
}

/// Runs a part of a computation under a name and the line that calls, for reports such as the first
/// cause of a value that is not finite. Costs nothing to speak of otherwise.
///
/// ```swift
/// let ratio = try traced("ratio") { () throws(TensorError) in try a / b }
/// ```
///
/// Layers of a model and its loss are known without it.
public func traced<Result>(
  _ name: String, file: String = #fileID, line: Int = #line,
  _ body: () throws(TensorError) -> Result
) throws(TensorError) -> Result {
  try traced(name, kind: "", source: "\(file):\(line)", body)
}

/// The same for a part of a known kind.
package func traced<Result>(
  _ name: String, kind: String, source: @autoclosure () -> String?,
  _ body: () throws(TensorError) -> Result
) throws(TensorError) -> Result {
  guard let observer = OperationTrace.observer else { return try body() }
  observer.partBegan(TracedPart(path: name, kind: kind, source: source()))
  defer { observer.partEnded() }
  return try body()
}
