package import KeelBackend

extension CPUBackend: Convolution2DBackend {
  package func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard y.count > 0 else { return }
    guard x.count > 0, filter.count > 0 else { return fillWithActivatedBias(y, epilogue) }
    let (input, filters, bias, output) = (x.floats, filter.floats, epilogue.bias?.floats, y.floats)
    try inImages(geometry, .forward, hasBias: bias != nil) {
      (part, operation, scratch) throws(DeviceError) in
      try operation.execute(
        input + part.start * geometry.inputStep, filters, bias: bias,
        into: output + part.start * geometry.outputStep, scratch: scratch)
    }
    activate(y, epilogue.activation)
  }

  package func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard dx.count > 0 else { return }
    guard dy.count > 0, filter.count > 0 else { return clear(dx) }
    let (upstream, filters, output) = (dy.floats, filter.floats, dx.floats)
    try inImages(geometry, .inputGradient, hasBias: false) {
      (part, operation, scratch) throws(DeviceError) in
      try operation.execute(
        upstream + part.start * geometry.outputStep, filters, bias: nil,
        into: output + part.start * geometry.inputStep, scratch: scratch)
    }
  }

  package func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard dfilter.count > 0 else { return }
    guard x.count > 0, dy.count > 0 else { return clear(dfilter) }
    let (input, upstream, output) = (x.floats, dy.floats, dfilter.floats)
    // The first part writes to the destination, the others beside it; then they are added in order.
    let (count, others) = (dfilter.count, max(1, info.computeUnits) - 1)
    let partial = try scratch(others * count, of: Float.self)
    let sums: UnsafeMutablePointer<Float> = partial.pointer()
    let parts = try inImages(geometry, .filterGradient, hasBias: false) {
      (part, operation, scratch) throws(DeviceError) in
      let number = part.number ?? 0
      try operation.execute(
        input + part.start * geometry.inputStep, upstream + part.start * geometry.outputStep,
        bias: nil, into: number == 0 ? output : sums + (number - 1) * count, scratch: scratch)
    }
    for number in 1..<max(1, parts) {
      let sum = sums + (number - 1) * count
      for i in 0..<count { output[i] += sum[i] }
    }
  }

  /// Divides a convolution by images, and returns into how many parts.
  @discardableResult
  private func inImages(
    _ geometry: Convolution2DGeometry, _ direction: OneDNN.Direction, hasBias: Bool,
    run: PartRun
  ) throws(DeviceError) -> Int {
    let parts = WorkParts(geometry.batch, flops: geometry.flops, cores: info.computeUnits)
    try runParts(
      parts,
      key: { part in
        var images = geometry
        images.batch = part.count
        return OneDNN.Key(
          work: .convolution(images, direction), hasBias: hasBias, part: part.number)
      }, run: run)
    return parts.all.count
  }

  /// All elements 0.
  func clear(_ array: NDArray) {
    array.floats.update(repeating: 0, count: array.count)
  }
}

extension Convolution2DGeometry {
  /// Elements from one input image to the next.
  fileprivate var inputStep: Int { height * width * inChannels }
  /// Elements from one output image to the next.
  fileprivate var outputStep: Int { outHeight * outWidth * outChannels }
}
