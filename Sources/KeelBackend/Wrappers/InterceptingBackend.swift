/// A device around a device: forwards every method of the contract, each through ``intercept``.
///
/// What a conforming type does around an operation it does for all of them; none of the
/// operations knows. A new method of the contract needs one forwarding here.
package protocol InterceptingBackend: Backend {
  /// The device that does the work.
  var inner: any Backend { get }

  /// Runs one operation.
  ///
  /// - Parameters:
  ///   - operation: its family.
  ///   - method: the contract's method, such as `matmul(_:_:_:_:into:)`.
  ///   - inputs: the arrays it reads.
  ///   - outputs: the arrays it writes (some of which it may read too).
  func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: () throws(DeviceError) -> Void
  ) throws(DeviceError)
}

// Memory and elementwise work.
extension InterceptingBackend {
  package var info: DeviceDescription { inner.info }
  package var counters: DeviceCounters { inner.counters }

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

  package func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    try intercept(.pointwise, method: #function, inputs: inputs, outputs: [out]) {
      () throws(DeviceError) in try inner.pointwise(expression, inputs, into: out)
    }
  }

  package func biasActivationGradient(
    output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError) {
    let outputs = [dz, db].compactMap { $0 }
    try intercept(.biasActivation, method: #function, inputs: [y, dy], outputs: outputs) {
      () throws(DeviceError) in
      try inner.biasActivationGradient(output: y, upstream: dy, activation, into: dz, bias: db)
    }
  }

  package func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    try intercept(.reduction, method: #function, inputs: [x], outputs: [out]) {
      () throws(DeviceError) in try inner.reduce(kind, x, axes: axes, into: out)
    }
  }

  package func argmax(_ x: NDArray, axis: Int, into out: NDArray) throws(DeviceError) {
    try intercept(.argmax, method: #function, inputs: [x], outputs: [out]) {
      () throws(DeviceError) in try inner.argmax(x, axis: axis, into: out)
    }
  }

  package func fill(_ out: NDArray, with value: Float) throws(DeviceError) {
    try intercept(.fill, method: #function, inputs: [], outputs: [out]) {
      () throws(DeviceError) in try inner.fill(out, with: value)
    }
  }

  package func stridedCopy(
    _ x: NDArray, _ source: StridedPattern, into out: NDArray, _ destination: StridedPattern,
    extents: [Int]
  ) throws(DeviceError) {
    try intercept(.stridedCopy, method: #function, inputs: [x], outputs: [out]) {
      () throws(DeviceError) in
      try inner.stridedCopy(x, source, into: out, destination, extents: extents)
    }
  }

  package func gather(
    _ x: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner innerExtent: Int,
    into out: NDArray
  ) throws(DeviceError) {
    try intercept(.gather, method: #function, inputs: [x, indices], outputs: [out]) {
      () throws(DeviceError) in
      try inner.gather(x, indices, outer: outer, extent: extent, inner: innerExtent, into: out)
    }
  }

  package func gatherGradient(
    upstream dy: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner innerExtent: Int,
    into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.gather, method: #function, inputs: [dy, indices], outputs: [dx]) {
      () throws(DeviceError) in
      try inner.gatherGradient(
        upstream: dy, indices, outer: outer, extent: extent, inner: innerExtent, into: dx)
    }
  }

  package func oneHot(_ indices: NDArray, into out: NDArray) throws(DeviceError) {
    try intercept(.oneHot, method: #function, inputs: [indices], outputs: [out]) {
      () throws(DeviceError) in try inner.oneHot(indices, into: out)
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
      () throws(DeviceError) in try inner.matmul(a, b, geometry, epilogue, into: c)
    }
  }

  package func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    let inputs = [x, filter, epilogue.bias].compactMap { $0 }
    try intercept(.convolution2D, method: #function, inputs: inputs, outputs: [y]) {
      () throws(DeviceError) in
      try inner.convolution2D(x, filter: filter, geometry, epilogue, into: y)
    }
  }

  package func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.convolution2D, method: #function, inputs: [dy, filter], outputs: [dx]) {
      () throws(DeviceError) in
      try inner.convolution2DInputGradient(upstream: dy, filter: filter, geometry, into: dx)
    }
  }

  package func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry,
    into dfilter: NDArray
  ) throws(DeviceError) {
    try intercept(.convolution2D, method: #function, inputs: [x, dy], outputs: [dfilter]) {
      () throws(DeviceError) in
      try inner.convolution2DFilterGradient(x, upstream: dy, geometry, into: dfilter)
    }
  }

  package func maxPooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray, indices: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [x], outputs: [y, indices]) {
      () throws(DeviceError) in
      try inner.maxPooling2D(x, geometry, into: y, indices: indices)
    }
  }

  package func maxPooling2DGradient(
    upstream dy: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [dy, indices], outputs: [dx]) {
      () throws(DeviceError) in
      try inner.maxPooling2DGradient(upstream: dy, indices: indices, geometry, into: dx)
    }
  }

  package func averagePooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [x], outputs: [y]) {
      () throws(DeviceError) in try inner.averagePooling2D(x, geometry, into: y)
    }
  }

  package func averagePooling2DGradient(
    upstream dy: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.pooling2D, method: #function, inputs: [dy], outputs: [dx]) {
      () throws(DeviceError) in
      try inner.averagePooling2DGradient(upstream: dy, geometry, into: dx)
    }
  }
}
