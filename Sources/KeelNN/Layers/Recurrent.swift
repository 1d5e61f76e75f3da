public import KeelAutograd
public import KeelBackend

/// Long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000) over a sequence of
/// steps x features, from states of 0;
/// `Tensor.lstm(inputWeight:recurrentWeight:bias:reversed:)` says the formula.
///
/// Its output is the last hidden state, units, or all of them, steps x units; twice as many units
/// where it is bidirectional: those of the second direction, which reads the sequence from its end,
/// stand after those of the first (Schuster & Paliwal, 1997).
///
/// Parameters of each layer and direction, the gates in the order input, forget, candidate, output:
/// `input.weight`, features x 4 units; `recurrent.weight`, units x 4 units; `bias`, 4 units. Where
/// there are several layers or two directions, their names begin with `layer1.`, `forward.` or
/// both.
public struct LSTM: Layer {
  private var stack: RecurrentStack
  package var options: RecurrentOptions { stack.options }
  /// By layer and direction, once built.
  package var layers: [[RecurrentLayer]] { stack.layers }

  /// A network of `units` units.
  ///
  /// - Parameters:
  ///   - returnsSequences: whether the output is the state after every step.
  ///   - layers: how many stand one above the other; each reads all states of the one below.
  ///   - bidirectional: whether each layer also reads from the end.
  ///   - dropout: the part of a layer's output that the next one does not see while training.
  ///   - forgetBias: where the bias of the forget gates begins; 1 keeps the cell, and its gradient,
  ///     from fading at first (Gers et al., 2000; Jozefowicz et al., 2015).
  ///   - initializer: of the input's weights.
  ///   - recurrentInitializer: of the states' weights; orthonormal rows by default.
  public init(
    _ units: Int, returnsSequences: Bool = false, layers: Int = 1, bidirectional: Bool = false,
    dropout: Float = 0, forgetBias: Float = 1, initializer: Initializer = .glorotUniform,
    recurrentInitializer: Initializer = .orthogonal()
  ) {
    stack = RecurrentStack(
      RecurrentOptions(
        cell: .lstm(forgetBias: forgetBias), units: units, returnsSequences: returnsSequences,
        layers: layers, isBidirectional: bidirectional, dropout: dropout,
        initializer: initializer, recurrentInitializer: recurrentInitializer))
  }

  /// The same with somebody who keeps the norm of every hidden state's gradient.
  public func tapped(_ taps: GradientTaps) -> LSTM {
    var tapped = self
    tapped.stack.options.taps = taps
    return tapped
  }

  /// True unless taps listen to it, to each pass anew.
  public var repeatsItself: Bool { stack.options.taps == nil }

  /// Declares the parameters.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape { try stack.build(&scope, input: input) }

  /// The hidden states of a batch of sequences.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try stack.run(x, pass)
  }
}

/// The gated recurrent unit (Cho et al., 2014) over a sequence of steps x features;
/// `Tensor.gru(inputWeight:recurrentWeight:bias:reversed:)` says the formula.
///
/// Output and names as of ``LSTM``; the gates stand in the order reset, update, candidate:
/// `input.weight`, features x 3 units; `recurrent.weight`, units x 3 units; `bias`, 3 units.
public struct GRU: Layer {
  private var stack: RecurrentStack
  package var options: RecurrentOptions { stack.options }
  /// By layer and direction, once built.
  package var layers: [[RecurrentLayer]] { stack.layers }

  /// A network of `units` units; the options are those of ``LSTM``.
  public init(
    _ units: Int, returnsSequences: Bool = false, layers: Int = 1, bidirectional: Bool = false,
    dropout: Float = 0, initializer: Initializer = .glorotUniform,
    recurrentInitializer: Initializer = .orthogonal()
  ) {
    stack = RecurrentStack(
      RecurrentOptions(
        cell: .gru, units: units, returnsSequences: returnsSequences, layers: layers,
        isBidirectional: bidirectional, dropout: dropout, initializer: initializer,
        recurrentInitializer: recurrentInitializer))
  }

  /// The same with somebody who keeps the norm of every hidden state's gradient.
  public func tapped(_ taps: GradientTaps) -> GRU {
    var tapped = self
    tapped.stack.options.taps = taps
    return tapped
  }

  /// True unless taps listen to it, to each pass anew.
  public var repeatsItself: Bool { stack.options.taps == nil }

  /// Declares the parameters.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape { try stack.build(&scope, input: input) }

  /// The hidden states of a batch of sequences.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try stack.run(x, pass)
  }
}

/// The plain recurrent network (Elman, 1990) over a sequence of steps x features:
/// h[t] = activation(x[t] · W + bias + h[t - 1] · U), from a state of 0.
///
/// Its gradient is multiplied by Uᵀ in each step: with the singular values of U above 1 it
/// explodes, below 1 it vanishes (Bengio et al., 1994; Pascanu et al., 2013).
///
/// Output and names as of ``LSTM``: `input.weight`, features x units; `recurrent.weight`, units x
/// units; `bias`, units.
public struct SimpleRNN: Layer {
  private var stack: RecurrentStack
  package var options: RecurrentOptions { stack.options }
  /// By layer and direction, once built.
  package var layers: [[RecurrentLayer]] { stack.layers }

  /// A network of `units` units; the other options are those of ``LSTM``.
  ///
  /// - Parameter activation: one whose derivative follows from its output, such as tanh, relu or
  ///   identity.
  public init(
    _ units: Int, activation: Activation = .tanh, returnsSequences: Bool = false,
    layers: Int = 1, bidirectional: Bool = false, dropout: Float = 0,
    initializer: Initializer = .glorotUniform, recurrentInitializer: Initializer = .orthogonal()
  ) {
    stack = RecurrentStack(
      RecurrentOptions(
        cell: .plain(activation), units: units, returnsSequences: returnsSequences,
        layers: layers, isBidirectional: bidirectional, dropout: dropout,
        initializer: initializer, recurrentInitializer: recurrentInitializer))
  }

  /// The same with somebody who keeps the norm of every hidden state's gradient.
  public func tapped(_ taps: GradientTaps) -> SimpleRNN {
    var tapped = self
    tapped.stack.options.taps = taps
    return tapped
  }

  /// True unless taps listen to it, to each pass anew.
  public var repeatsItself: Bool { stack.options.taps == nil }

  /// Declares the parameters.
  public mutating func build(
    _ scope: inout LayerScope, input: Shape
  ) throws(TensorError) -> Shape { try stack.build(&scope, input: input) }

  /// The hidden states of a batch of sequences.
  public func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try stack.run(x, pass)
  }
}
