/// One call of the contract, made on a device with arrays of that device.
package typealias DeviceCall = (
  _ device: any Backend, _ inputs: [NDArray], _ outputs: [NDArray]
) throws(DeviceError) -> Void

/// A device around a device: forwards every method of the contract, each through ``intercept``.
///
/// What a conforming type does around an operation it does for all of them; none of the
/// operations knows. A new method of the contract needs one forwarding here.
package protocol InterceptingBackend: Backend {
  /// The device that does the work.
  var inner: any Backend { get }

  /// Runs one operation: `body(inner, inputs, outputs)`, and what else the wrapper is for.
  ///
  /// - Parameters:
  ///   - operation: its family.
  ///   - method: the contract's method, such as `matmul(_:_:_:_:into:)`.
  ///   - inputs: the arrays it reads.
  ///   - outputs: the arrays it writes (some of which it may read too).
  ///   - body: the call as a function of a device and of arrays on it, in the order of `inputs`
  ///     and `outputs`: a wrapper may make it on another device with copies.
  func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError)
}

// Memory and elementwise work.
extension InterceptingBackend {
  package var info: DeviceDescription { inner.info }
  package var counters: DeviceCounters { inner.counters }
  package var tuningRecord: TuningRecord? { inner.tuningRecord }
  package var productPrecision: ProductPrecision { inner.productPrecision }
  package func setProductPrecision(_ precision: ProductPrecision) throws(DeviceError) {
    try inner.setProductPrecision(precision)
  }
  package func resetPeakBytes() { inner.resetPeakBytes() }
  package func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool { inner.takesHalf(operation, method: method, inputs: inputs, outputs: outputs) }

  package func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray {
    try inner.allocate(shape, dtype)
  }

  package func upload(_ bytes: UnsafeRawBufferPointer, to array: NDArray) throws(DeviceError) {
    try inner.upload(bytes, to: array)
  }

  package func download(
    _ array: NDArray, to bytes: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    try inner.download(array, to: bytes)
  }

  package func synchronize() throws(DeviceError) { try inner.synchronize() }

  package func hostMemory(of array: NDArray) -> UnsafeMutableRawBufferPointer? {
    inner.hostMemory(of: array)
  }

  package func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    try intercept(.pointwise, method: #function, inputs: inputs, outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.pointwise(expression, inputs, into: outputs[0])
    }
  }

  package func convert(_ x: NDArray, into out: NDArray) throws(DeviceError) {
    try intercept(.convert, method: #function, inputs: [x], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convert(inputs[0], into: outputs[0])
    }
  }

  package func biasActivationGradient(
    output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError) {
    let outputs = [dz, db].compactMap { $0 }
    try intercept(.biasActivation, method: #function, inputs: [y, dy], outputs: outputs) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.biasActivationGradient(
        output: inputs[0], upstream: inputs[1], activation, into: dz == nil ? nil : outputs[0],
        bias: db == nil ? nil : outputs[outputs.count - 1])
    }
  }

  package func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    try intercept(.reduction, method: #function, inputs: [x], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.reduce(kind, inputs[0], axes: axes, into: outputs[0])
    }
  }

  package func argmax(_ x: NDArray, axis: Int, into out: NDArray) throws(DeviceError) {
    try intercept(.argmax, method: #function, inputs: [x], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.argmax(inputs[0], axis: axis, into: outputs[0])
    }
  }

  package func fill(_ out: NDArray, with value: Float) throws(DeviceError) {
    try intercept(.fill, method: #function, inputs: [], outputs: [out]) {
      (device, _, outputs) throws(DeviceError) in try device.fill(outputs[0], with: value)
    }
  }

  package func stridedCopy(
    _ x: NDArray, _ source: StridedPattern, into out: NDArray, _ destination: StridedPattern,
    extents: [Int]
  ) throws(DeviceError) {
    try intercept(.stridedCopy, method: #function, inputs: [x], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.stridedCopy(inputs[0], source, into: outputs[0], destination, extents: extents)
    }
  }

  package func gather(
    _ x: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner innerExtent: Int,
    into out: NDArray
  ) throws(DeviceError) {
    try intercept(.gather, method: #function, inputs: [x, indices], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.gather(
        inputs[0], inputs[1], outer: outer, extent: extent, inner: innerExtent, into: outputs[0])
    }
  }

  package func gatherGradient(
    upstream dy: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner innerExtent: Int,
    into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.gather, method: #function, inputs: [dy, indices], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.gatherGradient(
        upstream: inputs[0], inputs[1], outer: outer, extent: extent, inner: innerExtent,
        into: outputs[0])
    }
  }

  package func oneHot(_ indices: NDArray, into out: NDArray) throws(DeviceError) {
    try intercept(.oneHot, method: #function, inputs: [indices], outputs: [out]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.oneHot(inputs[0], into: outputs[0])
    }
  }
}

// Matrices and images.
extension InterceptingBackend {
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    let inputs = [a, b, epilogue.bias].compactMap { $0 }
    try intercept(.matmul, method: #function, inputs: inputs, outputs: [c]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.matmul(
        inputs[0], inputs[1], geometry, epilogue.withBias(of: inputs[2...]), into: outputs[0])
    }
  }

  package func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    let inputs = [x, filter, epilogue.bias].compactMap { $0 }
    try intercept(.convolution2D, method: #function, inputs: inputs, outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2D(
        inputs[0], filter: inputs[1], geometry, epilogue.withBias(of: inputs[2...]),
        into: outputs[0])
    }
  }

  package func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.convolution2D, method: #function, inputs: [dy, filter], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2DInputGradient(
        upstream: inputs[0], filter: inputs[1], geometry, into: outputs[0])
    }
  }

  package func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError) {
    try intercept(.convolution2D, method: #function, inputs: [x, dy], outputs: [dfilter]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.convolution2DFilterGradient(
        inputs[0], upstream: inputs[1], geometry, into: outputs[0])
    }
  }

  package func maxPooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray, indices: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [x], outputs: [y, indices]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.maxPooling2D(inputs[0], geometry, into: outputs[0], indices: outputs[1])
    }
  }

  package func maxPooling2DGradient(
    upstream dy: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [dy, indices], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.maxPooling2DGradient(
        upstream: inputs[0], indices: inputs[1], geometry, into: outputs[0])
    }
  }

  package func averagePooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [x], outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.averagePooling2D(inputs[0], geometry, into: outputs[0])
    }
  }

  package func averagePooling2DGradient(
    upstream dy: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [dy], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.averagePooling2DGradient(upstream: inputs[0], geometry, into: outputs[0])
    }
  }
}

extension Epilogue {
  /// The same with another bias, the first of the arrays if there is one.
  fileprivate func withBias(of arrays: ArraySlice<NDArray>) -> Epilogue {
    Epilogue(bias: arrays.first, activation: activation)
  }
}
