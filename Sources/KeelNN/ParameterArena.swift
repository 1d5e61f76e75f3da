import KeelAutograd
package import KeelBackend

/// The memory of a model: one flat buffer each for parameters, gradients and states.
///
/// Every tensor is a slice that starts at a multiple of ``ArenaBlock/count`` elements, with zeros
/// between. So the norm of all gradients is one pass, an update is one launch, and a copy of the
/// model is one copy, whatever the number of tensors.
package final class ParameterArena {
  /// All parameters.
  package let parameters: NDArray
  /// All gradients, at the places of their parameters.
  package let gradients: NDArray
  /// All states.
  package let states: NDArray
  /// The states as they were before the forward pass of the step at work; nil where there are none.
  package private(set) var statesBefore: NDArray?
  /// The learning-rate scale and the decay scale of each block.
  package let scales: NDArray
  private let backend: any Backend
  private let hasStates: Bool

  /// The count of elements of ``parameters``, a multiple of ``ArenaBlock/count``.
  package var count: Int { parameters.count }

  /// Places parameters and states, and gives all of them their first values.
  init(
    _ parameters: [Parameter], states: [StateBuffer], device: Device, seed: UInt64
  ) throws(TensorError) {
    backend = device.backend
    hasStates = !states.isEmpty
    let offsets = ParameterArena.offsets(parameters.map(\.shape.count))
    let stateOffsets = ParameterArena.offsets(states.map(\.shape.count))
    // Asked of the device before the host makes the values: a mistaken width must not take the
    // memory of the machine.
    let backend = backend
    let (flat, gradients) = try onDevice { () throws(DeviceError) in
      try ParameterArena.requireRoom(offsets.total, on: backend)
      return (
        try backend.allocate(Shape([offsets.total]), .float32),
        try backend.allocate(Shape([offsets.total]), .float32)
      )
    }
    self.parameters = flat
    self.gradients = gradients
    var values = [Float](repeating: 0, count: offsets.total)
    var deviations: [Double] = []
    for (parameter, start) in zip(parameters, offsets.starts) {
      let key = RandomKey(seed: seed, .initialization, index: parameter.index)
      let first = parameter.initializer.values(
        shape: parameter.shape, fanIn: parameter.fanIn, fanOut: parameter.fanOut, key: key)
      values.replaceSubrange(start..<(start + first.count), with: first)
      deviations.append(standardDeviation(first))
    }
    var stateValues = [Float](repeating: 0, count: stateOffsets.total)
    for (state, start) in zip(states, stateOffsets.starts) {
      for i in start..<(start + state.shape.count) { stateValues[i] = state.initialValue }
    }
    (self.states, scales) = try onDevice { () throws(DeviceError) in
      try backend.fill(gradients, with: 0)
      try backend.upload(values, to: flat)
      return (
        try backend.array(stateValues, shape: Shape([stateOffsets.total])),
        try backend.allocate(Shape([offsets.total / ArenaBlock.count, 2]), .float32)
      )
    }
    for (number, parameter) in parameters.enumerated() {
      let value = self.parameters.view(offset: offsets.starts[number], shape: parameter.shape)
      parameter.place = Parameter.Place(
        offset: offsets.starts[number],
        tracked: Tensor(value: value, device: device, requiresGradient: true),
        detached: Tensor(value: value, device: device, requiresGradient: false),
        gradient: gradients.view(offset: offsets.starts[number], shape: parameter.shape),
        firstDeviation: deviations[number])
    }
    for (state, start) in zip(states, stateOffsets.starts) {
      state.tensor = Tensor(
        value: self.states.view(offset: start, shape: state.shape), device: device,
        requiresGradient: false)
    }
    try writeScales(parameters)
  }

  /// Throws unless parameters and gradients fit the memory that the device has, beside the copy
  /// that the host makes.
  private static func requireRoom(_ count: Int, on backend: any Backend) throws(DeviceError) {
    let available = backend.info.memoryBytes
    guard count > available / 12 else { return }
    let (bytes, overflows) = count.multipliedReportingOverflow(by: 12)
    throw .outOfMemory(requested: overflows ? .max : bytes, available: available)
  }

  /// Where slices of the given counts start, and the count of the whole buffer (at least a block).
  private static func offsets(_ counts: [Int]) -> (starts: [Int], total: Int) {
    var starts: [Int] = []
    var next = 0
    for count in counts {
      starts.append(next)
      next += (count + ArenaBlock.count - 1) / ArenaBlock.count * ArenaBlock.count
    }
    return (starts, max(next, ArenaBlock.count))
  }

  /// Uploads the scales: that of the learning rate, 0 for frozen parameters; decay only where it
  /// applies. Gradients of frozen parameters become 0, so that they count in no norm.
  package func writeScales(_ all: [Parameter]) throws(TensorError) {
    var values = [Float](repeating: 0, count: scales.count)
    for parameter in all {
      guard let place = parameter.place else { continue }
      let first = place.offset / ArenaBlock.count
      let blocks = (parameter.shape.count + ArenaBlock.count - 1) / ArenaBlock.count
      for block in first..<(first + blocks) {
        values[2 * block] = parameter.isTrainable ? parameter.learningRateScale : 0
        values[2 * block + 1] = parameter.decays ? 1 : 0
      }
    }
    try onDevice { () throws(DeviceError) in
      try backend.upload(values, to: scales)
      for parameter in all where !parameter.isTrainable {
        if let place = parameter.place { try backend.fill(place.gradient, with: 0) }
      }
    }
  }

  /// Keeps the states as they are: a step that is left out brings them back.
  func keepStates() throws(TensorError) {
    guard hasStates else { return }
    try onDevice { () throws(DeviceError) in
      if statesBefore == nil { statesBefore = try backend.allocate(states.shape, .float32) }
      if let statesBefore { try backend.pointwise(.x, [states], into: statesBefore) }
    }
  }

  /// Buffers of zeros as large as the parameters: an optimizer's moments.
  package func makeMoments(_ number: Int) throws(TensorError) -> [NDArray] {
    try onDevice { () throws(DeviceError) in
      var moments: [NDArray] = []
      for _ in 0..<number {
        let moment = try backend.allocate(parameters.shape, .float32)
        try backend.fill(moment, with: 0)
        moments.append(moment)
      }
      return moments
    }
  }
}

/// The standard deviation of the values around their mean, in Double.
func standardDeviation(_ values: [Float]) -> Double {
  guard !values.isEmpty else { return 0 }
  var (sum, squares) = (0.0, 0.0)
  for value in values { sum += Double(value) }
  let mean = sum / Double(values.count)
  for value in values { squares += (Double(value) - mean) * (Double(value) - mean) }
  return (squares / Double(values.count)).squareRoot()
}
