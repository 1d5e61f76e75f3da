import KeelAutograd
import KeelBackend

/// The options that all recurrent networks share.
package struct RecurrentOptions {
  package var cell: RecurrentCell
  package var units: Int
  package var returnsSequences: Bool
  package var layers: Int
  package var isBidirectional: Bool
  package var dropout: Float
  package var initializer: Initializer
  package var recurrentInitializer: Initializer
  var taps: GradientTaps?
}

/// Recurrent layers one above the other, each in one direction of time or both.
struct RecurrentStack {
  var options: RecurrentOptions
  /// By layer; one direction or two.
  private(set) var layers: [[RecurrentLayer]] = []
  /// The random numbers of the dropout above each layer but the last.
  private var streams: [Int] = []

  init(_ options: RecurrentOptions) { self.options = options }

  mutating func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
    try check(scope, input)
    (layers, streams) = ([], [])
    var shape = input
    for number in 0..<options.layers {
      var directions: [RecurrentLayer] = []
      for isReversed in options.isBidirectional ? [false, true] : [false] {
        var layer = RecurrentLayer(options, isReversed: isReversed)
        if let name = name(of: number, isReversed: isReversed) {
          _ = try scope.child(name, &layer, input: shape)
        } else {
          _ = try layer.build(&scope, input: shape)
        }
        directions.append(layer)
      }
      layers.append(directions)
      shape = [input[0], directions.count * options.units]
      if options.dropout > 0, number + 1 < options.layers {
        streams.append(scope.randomStream())
      }
    }
    return options.returnsSequences ? shape : [shape[1]]
  }

  func run(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    var x = x
    for (number, directions) in layers.enumerated() {
      var outputs: [Tensor] = []
      for (direction, layer) in directions.enumerated() {
        if let name = name(of: number, isReversed: direction == 1) {
          outputs.append(try pass.run(layer, as: name, on: x))
        } else {
          outputs.append(try layer(x, pass))
        }
      }
      let isLast = number + 1 == layers.count
      if isLast, !options.returnsSequences {
        for direction in outputs.indices {
          outputs[direction] = try lastState(outputs[direction], isReversed: direction == 1)
        }
      }
      x = outputs.count == 1 ? outputs[0] : try Tensor.concatenate(outputs, axis: -1)
      if !isLast, pass.isTraining, options.dropout > 0 {
        x = try x.dropout(rate: options.dropout, key: pass.dropoutKey(stream: streams[number]))
      }
    }
    return x
  }

  /// The state after the whole sequence: batch x units.
  private func lastState(_ states: Tensor, isReversed: Bool) throws(TensorError) -> Tensor {
    let (batch, steps, units) = (states.shape[0], states.shape[1], states.shape[2])
    let time = isReversed ? 0 : steps - 1
    return try states.sliced([0..<batch, time..<time + 1, 0..<units]).reshaped([batch, units])
  }

  /// The name of a part; nil where the stack is one part alone.
  private func name(of number: Int, isReversed: Bool) -> String? {
    let layer = options.layers > 1 ? ["layer\(number + 1)"] : []
    let direction = options.isBidirectional ? [isReversed ? "backward" : "forward"] : []
    let parts = layer + direction
    return parts.isEmpty ? nil : parts.joined(separator: ".")
  }

  private func check(_ scope: LayerScope, _ input: Shape) throws(TensorError) {
    guard input.rank == 2, input.count > 0 else {
      throw scope.refusal(
        "a sequence of steps x features (RowsAsSteps makes one of an image)", got: input)
    }
    guard options.units >= 1, options.layers >= 1 else {
      throw scope.refusal(
        "at least one unit and one layer",
        gotText: "\(options.units) units and \(options.layers) layers")
    }
    guard options.dropout >= 0, options.dropout < 1 else {
      throw scope.refusal("a dropout in 0 ..< 1", gotText: "\(options.dropout)")
    }
    guard options.dropout == 0 || options.layers > 1 else {
      throw scope.refusal(
        "two layers or more for dropout between them",
        gotText: "a dropout of \(options.dropout) in one layer")
    }
    if let complaint = options.cell.complaint {
      throw scope.refusal(complaint.requirement, gotText: complaint.got)
    }
  }
}
