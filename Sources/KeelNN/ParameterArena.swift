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
  /// The parameters in 16 bits, at the same places; nil where the model computes with float32.
  package let halves: NDArray?
  /// The learning-rate scale and the decay scale of each block.
  package let scales: NDArray
  private let backend: any Backend
  private let hasStates: Bool

  /// The count of elements of ``parameters``, a multiple of ``ArenaBlock/count``.
  package var count: Int { parameters.count }

  /// Places parameters and states, and gives all of them their first values.
  init(
    _ parameters: [Parameter], states: [StateBuffer], device: Device, seed: UInt64,
    precision: Precision
  ) throws(TensorError) {
    backend = device.backend
    hasStates = !states.isEmpty
    // Slices of the 16-bit copy must start aligned too: its elements are half as large.
    let blocks = precision.dtype.isHalf ? 2 : 1
    let offsets = ParameterArena.offsets(parameters.map(\.shape.count), blocks: blocks)
    let stateOffsets = ParameterArena.offsets(states.map(\.shape.count))
    // Asked of the device before the host makes the values: a mistaken width must not take the
    // memory of the machine.
    let backend = backend
    let (flat, gradients, halves) = try onDevice { () throws(DeviceError) in
      try ParameterArena.requireRoom(offsets.total, on: backend)
      return (
        try backend.allocate(Shape([offsets.total]), .float32),
        try backend.allocate(Shape([offsets.total]), .float32),
        precision.dtype.isHalf
          ? try backend.allocate(Shape([offsets.total]), precision.dtype) : nil
      )
    }
    self.parameters = flat
    self.gradients = gradients
    self.halves = halves
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
      let tracked = Tensor(value: value, device: device, requiresGradient: true)
      let detached = Tensor(value: value, device: device, requiresGradient: false)
      // Biases and what normalisations scale by are few and stay exact.
      let half =
        parameter.shape.rank < 2
        ? nil
        : halves.map {
          $0.view(offset: offsets.starts[number], shape: parameter.shape)
        }
      parameter.place = Parameter.Place(
        offset: offsets.starts[number], tracked: tracked, detached: detached,
        working: half.map { (tracked.standIn($0), detached.standIn($0)) } ?? (tracked, detached),
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

  /// Where slices of the given counts start, each at a multiple of so many blocks, and the count of
  /// the whole buffer (at least a block).
  private static func offsets(_ counts: [Int], blocks: Int = 1) -> (starts: [Int], total: Int) {
    let unit = blocks * ArenaBlock.count
    var starts: [Int] = []
    var next = 0
    for count in counts {
      starts.append(next)
      next += (count + unit - 1) / unit * unit
    }
    return (starts, max(next, unit))
  }

  /// Brings the 16-bit copy up to date, in one launch.
  func refreshHalves() throws(TensorError) {
    guard let halves else { return }
    try onDevice { () throws(DeviceError) in try backend.convert(parameters, into: halves) }
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
