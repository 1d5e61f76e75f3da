package import KeelAutograd
package import KeelBackend

/// What a recurrent layer computes in each time step.
package enum RecurrentCell {
  case lstm(forgetBias: Float)
  case gru
  case plain(Activation)

  package var gates: Int {
    switch self {
    case .lstm: 4
    case .gru: 3
    case .plain: 1
    }
  }

  var kind: String {
    switch self {
    case .lstm: "LSTM"
    case .gru: "GRU"
    case .plain: "SimpleRNN"
    }
  }

  /// How the bias begins.
  var biasInitializer: Initializer {
    if case .lstm(let forgetBias) = self { return .segments([0, forgetBias, 0, 0]) }
    return .zeros
  }

  /// What is wrong with its numbers, as the end of "requires …" and what it got, or nil.
  var complaint: (requirement: String, got: String)? {
    switch self {
    case .lstm(let bias):
      bias.isFinite ? nil : ("a finite forget bias", "\(bias)")
    case .gru: nil
    case .plain(let activation):
      activation.isFusable
        ? nil
        : (
          "an activation whose derivative follows from its output, such as tanh or relu",
          activation.name
        )
    }
  }
}

/// One recurrent layer in one direction of time: steps x features becomes steps x units.
package struct RecurrentLayer: Layer {
  package let cell: RecurrentCell
  package let units: Int
  /// Whether it reads the sequence from its end.
  package let isReversed: Bool
  private let initializer: Initializer
  private let recurrentInitializer: Initializer
  private let taps: GradientTaps?
  private var path = ""
  package private(set) var inputWeight: Parameter?
  package private(set) var recurrentWeight: Parameter?
  package private(set) var bias: Parameter?

  init(_ options: RecurrentOptions, isReversed: Bool) {
    cell = options.cell
    units = options.units
    initializer = options.initializer
    recurrentInitializer = options.recurrentInitializer
    taps = options.taps
    self.isReversed = isReversed
  }

  package var kind: String { cell.kind }

  /// Taps listen to each pass anew.
  package var repeatsItself: Bool { taps == nil }

  package mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape
  {
    let (features, columns) = (input[1], cell.gates * units)
    path = scope.path
    inputWeight = try scope.parameter(
      "input.weight", shape: [features, columns], initializer: initializer, fanIn: features,
      fanOut: columns)
    recurrentWeight = try scope.parameter(
      "recurrent.weight", shape: [units, columns], initializer: recurrentInitializer,
      fanIn: units, fanOut: columns)
    bias = try scope.parameter(
      "bias", shape: [columns], initializer: cell.biasInitializer, fanIn: features,
      fanOut: columns)
    return [input[0], units]
  }

  /// The hidden state after each step, kept in the type of the input. What goes round from step to
  /// step stays float32: its roundings would add up over time.
  package func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    try states(x, pass).cast(to: x.dtype.isFloat ? x.dtype : .float32)
  }

  private func states(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    let (weight, recurrent, shift) = (
      try pass.exact(inputWeight), try pass.exact(recurrentWeight), try pass[bias]
    )
    let tap = pass.isTraining ? taps?.listen(to: path, steps: x.shape[1], on: x.device) : nil
    switch cell {
    case .lstm:
      return try x.lstm(
        inputWeight: weight, recurrentWeight: recurrent, bias: shift, reversed: isReversed,
        tap: tap)
    case .gru:
      return try x.gru(
        inputWeight: weight, recurrentWeight: recurrent, bias: shift, reversed: isReversed,
        tap: tap)
    case .plain(let activation):
      return try x.simpleRNN(
        inputWeight: weight, recurrentWeight: recurrent, bias: shift, activation: activation,
        reversed: isReversed, tap: tap)
    }
  }
}
