/// What a kernel does to each result before it stores it: y = activation(z + bias[channel]).
package struct Epilogue: Sendable {
  /// One float32 per output column or channel, or nil.
  package var bias: NDArray?
  /// A fusable activation.
  package var activation: Activation

  package init(bias: NDArray? = nil, activation: Activation = .identity) {
    precondition(activation.isFusable)
    self.bias = bias
    self.activation = activation
  }

  /// Nothing.
  package static let none = Epilogue()
}
