public import KeelAutograd
public import KeelBackend

/// Where something stands in a program: for reports that point at it.
public struct SourceLocation: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The module and the file, such as `Main/Network.swift`.
  public var file: String
  /// The line, from 1.
  public var line: Int

  /// A place in a program; by default the one that calls.
  public init(file: String = #fileID, line: Int = #line) {
    self.file = file
    self.line = line
  }

  /// Such as `Main/Network.swift:12`.
  public var description: String { "\(file):\(line)" }
}

/// One layer at work, for those who watch.
package struct LayerVisit: Sendable {
  /// The path, such as `block1.conv`.
  package var path: String
  /// What it is, such as `Conv2D`.
  package var kind: String
  /// Where the program names the layer, if it is known.
  package var source: SourceLocation?

  package init(path: String, kind: String, source: SourceLocation?) {
    (self.path, self.kind, self.source) = (path, kind, source)
  }
}

/// Watches the layers of a model at work; a pass that has one tells it of every layer that
/// ``Pass/run(_:as:on:source:)`` runs, nested ones within their parents.
package protocol LayerObserver: AnyObject {
  /// A layer is about to compute.
  func layerBegan(_ layer: LayerVisit, input: Tensor) throws(TensorError)

  /// A layer has computed; what is returned goes on in place of the output.
  func layerEnded(_ layer: LayerVisit, output: Tensor) throws(TensorError) -> Tensor
}

/// Watches, besides, what flows into each layer.
package protocol LayerInputObserver: LayerObserver {
  /// A layer has begun; what is returned goes into it in place of the input. Of a tensor that goes
  /// elsewhere too, only the way through this layer is seen.
  func layerInput(_ layer: LayerVisit, _ input: Tensor) throws(TensorError) -> Tensor
}

extension Pass {
  /// Computes with a layer that is part of another one: `try pass.run(inner, as: "inner", on: x)`.
  ///
  /// The same as `inner(x, pass)`, but reports, such as the one on the first value that was not
  /// finite, then know the layer by the name that it was built under.
  public func run(
    _ layer: any Layer, as name: String, on x: Tensor, source: SourceLocation? = nil
  ) throws(TensorError) -> Tensor {
    guard let observer else { return try layer(x, self) }
    var inner = self
    inner.path = path.isEmpty ? name : "\(path).\(name)"
    let visit = LayerVisit(path: inner.path, kind: layer.kind, source: source)
    try observer.layerBegan(visit, input: x)
    let input = try (observer as? any LayerInputObserver)?.layerInput(visit, x) ?? x
    return try observer.layerEnded(visit, output: try layer(input, inner))
  }
}
