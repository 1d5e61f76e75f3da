// Operations whose options decide about their error.
extension ShadowTolerance {
  func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    // The largest and the smallest are numbers of the input: nothing is rounded.
    if kind == .max || kind == .min { return }
    try intercept(.reduction, method: #function, inputs: [x], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.reduce(kind, inputs[0], axes: axes, into: outputs[0])
    }
  }

  // Without the activation: those that products are fused with do not enlarge errors.
  func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    let inputs = [a, b, epilogue.bias].compactMap { $0 }
    try intercept(.matmul, method: #function, inputs: inputs, outputs: [c]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.matmul(
        inputs[0], inputs[1], geometry, Epilogue(bias: inputs.dropFirst(2).first),
        into: outputs[0])
    }
  }

  func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    let inputs = [x, filter, epilogue.bias].compactMap { $0 }
    sharesTiles = geometry.allowsMinimalFiltering
    try intercept(.convolution2D, method: #function, inputs: inputs, outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2D(
        inputs[0], filter: inputs[1], geometry, Epilogue(bias: inputs.dropFirst(2).first),
        into: outputs[0])
    }
  }

  func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    sharesTiles = geometry.allowsMinimalFiltering
    try intercept(.convolution2D, method: #function, inputs: [dy, filter], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2DInputGradient(
        upstream: inputs[0], filter: inputs[1], geometry, into: outputs[0])
    }
  }

  func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError) {
    sharesTiles = geometry.allowsMinimalFiltering
    try intercept(.convolution2D, method: #function, inputs: [x, dy], outputs: [dfilter]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2DFilterGradient(
        inputs[0], upstream: inputs[1], geometry, into: outputs[0])
    }
  }

  func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    let analysis = ExpressionError(expression)
    let found = suspects[0].indices
    var operands = found.map { _ in [Double]() }
    for input in inputs {
      let strides = input.shape.broadcastStrides(to: out.shape)
      let values = try elements(input, found.map { out.shape.position($0, strides: strides) })
      for (place, value) in values.enumerated() { operands[place].append(Double(value)) }
    }
    // Both devices round.
    result[0] = operands.map { 2 * analysis.error($0) }
  }
}

// What a step does with its gradients.
extension ShadowTolerance {
  // Norms are roots of sums of squares, in which nothing cancels; the largest magnitudes, which
  // stand between them, are numbers of the gradient. Counts are integers.
  func gradientTelescope(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading
  ) throws(DeviceError) {
    let relative = Self.sumBound(of: g.count) * Self.unit
    for (output, found) in suspects.enumerated() {
      for (place, index) in found.indices.enumerated() where index % 2 == 0 {
        let value = found.expected[place]
        result[output][place] = value.isFinite ? relative * Double(value) : 0
      }
    }
  }

  // A decision holds flags beside norms of any size: nothing is measured by the largest of them.
  // What autoClip keeps are copies of norms, twice: it must find in the one what it put in the
  // other.
  func clipCoefficients(
    _ rule: ClipRule, _ reading: TelescopeReading, isLast: Bool, state: NDArray?,
    decision: NDArray, into coefficients: NDArray
  ) throws(DeviceError) {
    var keepsCopies = false
    if case .autoClip = rule { keepsCopies = true }
    try setMoved([0, 0, 0], holdsCodes: true, fixed: keepsCopies ? state : nil) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.clipCoefficients(
        rule,
        TelescopeReading(
          statistics: inputs[0], counts: reading.counts, histogram: reading.histogram,
          summary: inputs[1], faults: inputs[2]),
        isLast: isLast, state: outputs.dropFirst(2).first, decision: outputs[1], into: outputs[0])
    }
  }
}

extension Shape {
  /// Where element `index` of this shape, row-major, lies with other strides.
  fileprivate func position(_ index: Int, strides: [Int]) -> Int {
    var (rest, position) = (index, 0)
    for axis in extents.indices.reversed() {
      position += rest % extents[axis] * strides[axis]
      rest /= extents[axis]
    }
    return position
  }
}
