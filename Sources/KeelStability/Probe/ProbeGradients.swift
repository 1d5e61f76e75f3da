import KeelAutograd
import KeelBackend
import KeelNN

/// Gradients of the mean loss over a few batches, in memory beside the model's own.
final class ProbeGradients {
  private let model: Model
  private let batches: [(inputs: Tensor, targets: Tensor)]
  private let loss: Loss
  private let buffer: NDArray
  private let places: [ObjectIdentifier: NDArray]
  /// The part of all examples that each batch holds.
  private let weights: [Float]
  /// Which elements of the flat parameters training may change.
  let isTrainable: [Bool]

  init(
    _ model: Model, _ batches: [(inputs: Tensor, targets: Tensor)], _ loss: Loss
  ) throws(TensorError) {
    (self.model, self.batches, self.loss) = (model, batches, loss)
    let backend = model.device.backend
    let buffer = try onDevice { () throws(DeviceError) in
      try backend.allocate(model.arena.parameters.shape, .float32)
    }
    var places: [ObjectIdentifier: NDArray] = [:]
    var isTrainable = [Bool](repeating: false, count: buffer.count)
    for parameter in model.parameters where parameter.isTrainable {
      guard let place = parameter.place else { continue }
      places[ObjectIdentifier(place.tracked)] = buffer.view(
        offset: place.offset, shape: parameter.shape)
      for i in place.offset..<(place.offset + parameter.shape.count) { isTrainable[i] = true }
    }
    (self.buffer, self.places, self.isTrainable) = (buffer, places, isTrainable)
    let counts = batches.map { $0.inputs.shape.extents.first ?? 1 }
    let total = counts.reduce(0, +)
    weights = counts.map { Float(Double($0) / Double(max(total, 1))) }
  }

  /// The loss of one batch and the gradient of all parameters, flat as in the arena.
  func batch(
    _ number: Int, watchedBy meter: ProbeMeter
  ) throws(TensorError) -> (loss: Float, gradient: [Float]) {
    try clear()
    let loss = try add(number, weight: 1, meter)
    return (loss, try read())
  }

  /// The gradient of the mean loss over all batches.
  func mean() throws(TensorError) -> [Float] {
    try clear()
    for number in batches.indices { _ = try add(number, weight: weights[number], nil) }
    return try read()
  }

  private func clear() throws(TensorError) {
    try onDevice { () throws(DeviceError) in try model.device.backend.fill(buffer, with: 0) }
  }

  private func read() throws(TensorError) -> [Float] {
    try onDevice { () throws(DeviceError) in try model.device.backend.scalars(buffer) }
  }

  /// Adds the gradient of one batch. The number of the batch is that of the pass: each has its own
  /// dropout masks, and always the same.
  private func add(
    _ number: Int, weight: Float, _ meter: ProbeMeter?
  ) throws(TensorError) -> Float {
    let (inputs, targets) = batches[number]
    let pass = model.trainingPass(step: UInt64(number))
    let output: Tensor
    if let meter {
      output = try meter.run(model, on: inputs, pass)
    } else {
      output = try model(inputs, pass)
    }
    let value = try loss(output, targets)
    guard value.shape.count == 1 else {
      throw .shape(ShapeError("probe", requires: "a scalar loss", got: value.shape))
    }
    guard value.requiresGradient else { return meter == nil ? 0 : try value.item() }
    let backend = model.device.backend
    var failure: DeviceError?
    try value.backward(seed: weight, accumulate: true, keepsGraph: false) { leaf in
      if let place = places[ObjectIdentifier(leaf)] { return place }
      guard meter != nil, leaf.value.isSameMemory(as: inputs.value) else { return nil }
      // The gradient of the inputs: taps read it on its way, then it is of no use.
      do throws(DeviceError) {
        return try backend.newArray(leaf.shape)
      } catch {
        failure = error
        return nil
      }
    }
    if let failure { throw .device(failure) }
    return meter == nil ? 0 : try value.item()
  }
}

/// The Euclidean norm in Double; NaN and infinity go through.
func euclideanNorm(_ values: [Float]) -> Double {
  var sum = 0.0
  for value in values { sum += Double(value) * Double(value) }
  return sum.squareRoot()
}
