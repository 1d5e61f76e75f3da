package import KeelBackend

extension CPUBackend: Convolution2DBackend {
  package func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard y.count > 0 else { return }
    guard x.count > 0, filter.count > 0 else { return fillWithActivatedBias(y, epilogue) }
    try execute(
      geometry, .forward, x, filter, bias: epilogue.bias, into: y)
    activate(y, epilogue.activation)
  }

  package func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard dx.count > 0 else { return }
    guard dy.count > 0, filter.count > 0 else { return clear(dx) }
    try execute(geometry, .inputGradient, dy, filter, bias: nil, into: dx)
  }

  package func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard dfilter.count > 0 else { return }
    guard x.count > 0, dy.count > 0 else { return clear(dfilter) }
    try execute(geometry, .filterGradient, x, dy, bias: nil, into: dfilter)
  }

  private func execute(
    _ geometry: Convolution2DGeometry, _ direction: OneDNN.Direction, _ first: NDArray,
    _ second: NDArray, bias: NDArray?, into output: NDArray
  ) throws(DeviceError) {
    let operation = try dnn.operation(
      .convolution(geometry, direction, hasBias: bias != nil))
    let scratch = try scratch(operation.scratchBytes, of: UInt8.self)
    try operation.execute(
      first.floats, second.floats, bias: bias?.floats, into: output.floats,
      scratch: scratch.base)
  }

  /// All elements 0.
  func clear(_ array: NDArray) {
    array.floats.update(repeating: 0, count: array.count)
  }
}
