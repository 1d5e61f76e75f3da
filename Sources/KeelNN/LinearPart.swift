package import KeelAutograd
package import KeelBackend

/// Watches what layers compute before their activation, which they otherwise fuse.
package protocol LinearPartObserver: LayerObserver {
  /// A layer needs its linear part, that of `weight` and a bias.
  ///
  /// - Parameter compute: gives it; each call computes again with the weights as they then are.
  /// - Returns: what the layer goes on with.
  func linearPart(
    of weight: Parameter, at path: String, _ compute: () throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor
}

extension Pass {
  /// Computes a layer whose activation is fused into it, unless an observer wants to see what comes
  /// before the activation.
  ///
  /// - Parameter layer: from the activation to fuse to the output.
  package func fusing(
    _ activation: Activation, _ weight: Parameter?,
    _ layer: (Activation) throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor {
    guard let weight, let watcher = observer as? any LinearPartObserver else {
      return try layer(activation)
    }
    let linear = try watcher.linearPart(of: weight, at: path) { () throws(TensorError) in
      try layer(.identity)
    }
    return activation == .identity ? linear : try linear.activation(activation)
  }
}
